# shellcheck shell=sh
# Sourced by install/setup.*: names config/fastdds.xml to Fast DDS, so that large images arrive, where the user
# has chosen neither a profile, nor transports, nor another middleware, and /dev/shm has room for it. The rule is
# that of squeeze_segnet_ros/ros/fastdds.py, by which the launch file says why the profile is not in force.
_fastdds_profile="${AMENT_CURRENT_PREFIX:-${COLCON_CURRENT_PREFIX-}}/share/squeeze_segnet_ros/config/fastdds.xml"
# What another workspace with this package has set is not the user's choice.
for _fastdds_name in FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE; do
  eval "case \"\${$_fastdds_name-}\" in */share/squeeze_segnet_ros/config/fastdds.xml) unset $_fastdds_name ;; esac"
done
case "${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}" in
  rmw_fastrtps_*)
    if [ -z "${FASTDDS_DEFAULT_PROFILES_FILE-}${FASTRTPS_DEFAULT_PROFILES_FILE-}${FASTDDS_BUILTIN_TRANSPORTS-}" ] &&
      [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $2 }')" -ge 262144 ] 2>/dev/null; then
      export FASTDDS_DEFAULT_PROFILES_FILE="$_fastdds_profile"
      # Fast DDS 2 knows the old name only, and 3 warns of it.
      case "${ROS_DISTRO-}" in
        humble | iron | jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE="$_fastdds_profile" ;;
      esac
    fi
    ;;
esac
unset _fastdds_profile _fastdds_name

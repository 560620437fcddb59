"""Label the frames of cameras, or of a bag: ``ros2 launch squeeze_segnet_ros segnet.launch.py``.

What is started, and how, is decided in ``squeeze_segnet_ros/ros/launching.py``.
"""

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

PACKAGE = "squeeze_segnet_ros"
SHARE = FindPackageShare(PACKAGE)
FASTDDS_PROFILE = PathJoinSubstitution([SHARE, "config", "fastdds.xml"])
PARAMS_FILE = PathJoinSubstitution([SHARE, "config", "segnet.yaml"])
RVIZ_FILE = PathJoinSubstitution([SHARE, "rviz", "segnet.rviz"])
RESPAWN_DELAY = 1.0
AS_IN_FILE = "empty: as in params_file"


def argument(name, default_value, description):
    """Declare an argument. Its value is checked in launching, which takes true and True alike."""
    return DeclareLaunchArgument(name, default_value=default_value, description=description)


ARGUMENTS = (
    argument("params_file", PARAMS_FILE, "ROS parameter file of the node."),
    argument("cameras", "", f"Image topics, as /a,/b ({AS_IN_FILE}, or those of the bag)."),
    argument(
        "transport", "", f"raw or compressed, what the cameras publish ({AS_IN_FILE}, or what fits the bag)."
    ),
    argument("model", "", f"Name of the network, or path of a card ({AS_IN_FILE})."),
    argument("weights", "", f"A safetensors file ({AS_IN_FILE})."),
    argument("device", "", f"auto, cpu, cuda or cuda:N ({AS_IN_FILE})."),
    argument("precision", "", f"Number format: auto, fp32, bf16, fp16 or int8 ({AS_IN_FILE})."),
    argument("bag", "", "A bag to play: folder, .mcap or .db3. Everything ends with it."),
    argument("rate", "1.0", "Speed of the bag, 1.0 as recorded."),
    argument("loop", "false", "Play the bag again and again: true or false."),
    argument("rviz", "false", "Open RViz with the results: true or false."),
    argument("view", "false", "Show the results in the browser: true, false, or [ADDRESS:]PORT."),
    argument("record", "", "Bag to record the labels into; whole after Ctrl-C."),
    argument("name", "segnet", "Name of the node: two on one computer need two."),
    argument("namespace", "", "Namespace of the node, below the one that an including launch file sets."),
    argument(
        "use_sim_time",
        "",
        "Take the time from /clock: true or false (empty: true with a bag, else as in params_file).",
    ),
    argument("respawn", "false", "Start the node again whenever it ends, not with a bag: true or false."),
    argument("log_level", "info", "The least that the node logs: debug, info, warn, error or fatal."),
)


def generate_launch_description():
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context):
    """Return what is started. An error here is the one line that ``ros2 launch`` shows before it ends."""
    values = {item.name: LaunchConfiguration(item.name).perform(context).strip() for item in ARGUMENTS}
    pushed = context.launch_configurations.get("ros_namespace")
    plan = launching.make_plan(values, Path(PARAMS_FILE.perform(context)), pushed)
    remarks = [*complaints_about_arguments(context), *plan.remarks]
    node = Node(
        package=PACKAGE,
        executable="segnet_node",
        name=plan.name,
        namespace=plan.namespace,
        parameters=[str(plan.params_file), plan.parameters],
        arguments=["--exit-on-failure", "--ros-args", "--log-level", f"{plan.logger}:={plan.log_level}"],
        output="screen",
        respawn=plan.respawn,
        respawn_delay=RESPAWN_DELAY,
    )
    actions = [*(LogInfo(msg=remark) for remark in remarks), *set_transport(context), node]
    if not plan.respawn:
        actions.insert(0, RegisterEventHandler(OnProcessExit(target_action=node, on_exit=end_with_node)))
    if plan.bag:
        actions += play(plan)
    if plan.record:
        actions += record(plan)
    if plan.view:
        actions.append(view(plan))
    if plan.rviz:
        actions.append(show(context, plan))
    return actions


def complaints_about_arguments(context):
    """Return a line for each argument that nobody declares, of which launch says nothing."""
    included = not any(Path(word).name == Path(__file__).name for word in sys.argv)
    given = [word.partition(":=")[0] for word in context.argv if ":=" in word]
    return launching.complaints_about_unknown(
        context.launch_configurations if included else dict.fromkeys(given),
        [item.name for item in ARGUMENTS],
        included,
    )


def set_transport(context):
    """Let large images arrive, or say why they may not."""
    transport = fastdds.choose_transport(
        Path(FASTDDS_PROFILE.perform(context)), os.environ, get_rmw_implementation_identifier()
    )
    actions = [SetEnvironmentVariable(name, value) for name, value in transport.environment.items()]
    return [*actions, LogInfo(msg=transport.remark)] if transport.remark else actions


def play(plan):
    """Wait for the node, play the bag, let the node label what it has received, end."""

    def ask(command, *more):
        client = [sys.executable, "-m", f"{PACKAGE}.ros.lifecycle_client", plan.node, command, *more]
        return ExecuteProcess(cmd=client, name=command, output="screen")

    ready, drained = ask("wait", "--outputs", *plan.outputs), ask("drain")
    player = Node(
        package=PACKAGE,
        executable="bag_player",
        name="bag_player",
        namespace="/",  # in another it would play the topics there
        arguments=list(plan.player),
        output="screen",
    )
    return [
        RegisterEventHandler(OnProcessExit(target_action=ready, on_exit=then(player))),
        RegisterEventHandler(OnProcessExit(target_action=player, on_exit=then(drained))),
        RegisterEventHandler(
            OnProcessExit(target_action=drained, on_exit=then(Shutdown(reason="the bag has been labelled")))
        ),
        ready,
    ]


def record(plan):
    """Write the outputs into a bag; the recorder ends, and its bag is whole, with everything else.

    Where it fails, the labels of a bag have no purpose, while a vehicle needs them all the same.
    """
    recorder = Node(
        package=PACKAGE,
        executable="recorder",
        name=f"{plan.name}_recorder",
        namespace="/",
        parameters=[{"use_sim_time": plan.sim_time}],
        arguments=[plan.record, "--cameras", *plan.cameras],
        output="screen",
    )
    if not plan.bag:
        return [recorder]
    return [RegisterEventHandler(OnProcessExit(target_action=recorder, on_exit=then(None))), recorder]


def view(plan):
    """Show the outputs in the browser; where that does not work, a line says why, and nothing else ends."""
    bind, port = plan.view
    return Node(
        package=PACKAGE,
        executable="viewer",
        name=f"{plan.name}_viewer",
        namespace="/",
        parameters=[{"use_sim_time": plan.sim_time}],
        arguments=[
            *("--node", plan.node, "--bind", bind, "--port", str(port), "--transport", plan.transport),
            *("--cameras", *plan.cameras),
        ],
        output="screen",
    )


def show(context, plan):
    """Start RViz with our displays, or print a line that says how to get it."""
    if not shutil.which("rviz2"):
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        return LogInfo(
            msg=f"rviz2 is not installed: sudo apt install ros-{distribution}-rviz2; going on without it"
        )
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", RVIZ_FILE.perform(context)],
        remappings=plan.rviz_remappings,
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

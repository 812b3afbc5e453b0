"""Settings that are kept beside the variables in a weights file, because the shapes of the variables do not show them."""

import types

import numpy as np


class KeptSettings:
    """Mixin for a Keras layer or model, before it in the list of base classes: weights of other settings are refused.

    Attributes:
        absent_settings: Dictionary from names to values that are not stored. A file without a setting of these names has
            this value; of other names, its value is unknown.
    """

    absent_settings = types.MappingProxyType({})
    _settings_error = None

    def kept_settings(self):
        """Returns a dictionary from names to numbers or tuples of numbers; None means unknown."""
        return {}

    def other_setting(self, name, expected, received):
        """Describes how weights of another setting differ, and what to do.

        Args:
            name: Name of the setting.
            expected: Value of the layer or model.
            received: Value in the file.

        Returns:
            The message of the error.
        """
        return (
            f"Expected weights of a {type(self).__name__} with {name}={expected}. Received: those of one with "
            f"{name}={received}. Load them into a model of this setting, or load other weights."
        )

    def save_own_variables(self, store):
        """Saves the variables and the settings."""
        super().save_own_variables(store)
        for name, value in self.kept_settings().items():
            if value is not None and value != self.absent_settings.get(name):
                store[name] = np.array(value)

    def load_own_variables(self, store):
        """Loads the variables, after checking that they are of the same settings."""
        stored = {key: store[key] for key in store.keys()}  # noqa: SIM118 the store is no dictionary
        if stored:
            self._settings_error = self._compare_settings(stored)
        if self._settings_error is not None:  # Keras asks again with an empty store, and shows the last error
            raise self._settings_error
        super().load_own_variables({key: value for key, value in stored.items() if key not in self.kept_settings()})

    def _compare_settings(self, stored):
        """Returns a ValueError if weights are of another setting, else None."""
        for name, expected in self.kept_settings().items():
            received = stored.get(name, self.absent_settings.get(name))
            if expected is None or received is None:
                continue
            expected, received = np.array(expected).tolist(), np.array(received).tolist()
            if expected != received:
                return ValueError(self.other_setting(name, expected, received))
        return None

"""Classes by name: the registries of initializers, optimizers and metrics."""
import json

from mxcy.base import MXNetTypeError, MXNetValueError, nearest

__all__ = ["get_registry", "get_register_func", "get_alias_func", "get_create_func"]

_REGISTRIES = {}


def get_registry(base_class):
    """A copy of the dict from lower-case names to subclasses of ``base_class``."""
    return dict(_REGISTRIES.get(base_class, {}))


def get_register_func(base_class, nickname):
    """A decorator ``register(klass, name=None)`` for subclasses of ``base_class``; ``nickname`` is for messages."""
    classes = _REGISTRIES.setdefault(base_class, {})

    def register(klass, name=None):
        if not (isinstance(klass, type) and issubclass(klass, base_class)):
            raise MXNetTypeError(f"only subclasses of {base_class.__name__} can be registered as {nickname}, "
                                 f"got {klass!r}")
        classes[(name or klass.__name__).lower()] = klass
        return klass

    register.__name__ = f"register_{nickname}"
    register.__doc__ = f"Register a subclass of {base_class.__name__} as {nickname}, by default under its own name."
    return register


def get_alias_func(base_class, nickname):
    """A decorator ``alias(*names)`` that registers a class under further names."""
    register = get_register_func(base_class, nickname)

    def alias(*aliases):
        def decorate(klass):
            for name in aliases:
                register(klass, name)
            return klass
        return decorate

    alias.__doc__ = f"Register a {nickname} under further names."
    return alias


def get_create_func(base_class, nickname):
    """A function that makes a ``nickname`` from a name and arguments, from JSON text, or passes an instance on.

    JSON text is ``["name", {arguments}]`` or ``{"<nickname>": "name", ...arguments}``.
    """
    classes = _REGISTRIES.setdefault(base_class, {})

    def create(*args, **kwargs):
        given, args = (args[0], args[1:]) if args else (kwargs.pop(nickname, None), ())
        if isinstance(given, base_class):
            if args or kwargs:
                raise MXNetTypeError(f"{nickname} is an instance already: it takes no further arguments, "
                                     f"got {args} {kwargs}")
            return given
        if isinstance(given, dict):
            return create(**given)
        if not isinstance(given, str):
            raise MXNetTypeError(f"{nickname} must be a name or a {base_class.__name__}, got {given!r}")
        if given.startswith("["):
            name, arguments = json.loads(given)
            return create(name, **arguments)
        if given.startswith("{"):
            return create(**json.loads(given))
        if given.lower() not in classes:
            raise MXNetValueError(f"there is no {nickname} {given!r}.{nearest(given, classes)} "
                                  f"Known: {', '.join(sorted(classes))}.")
        return classes[given.lower()](*args, **kwargs)

    create.__doc__ = f"Make a {nickname} from a registered name and its arguments, or from JSON text."
    return create

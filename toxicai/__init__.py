"Hugging Face transformers for fastai: train, inspect and export classifiers of toxic comments"

def __getattr__(name):
    # Lazy, so that `import toxicai` costs nothing. The version stands in settings.ini alone; the installed metadata repeat it.
    if name=='__version__':
        from importlib.metadata import version
        return version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

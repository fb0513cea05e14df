"Hugging Face transformers for fastai: train, inspect and export classifiers of toxic comments"

def __getattr__(name):
    # Lazy, so that `import toxicai` costs nothing, and `from toxicai import Detector` no more than serving needs. The version stands in settings.ini alone; the installed metadata repeat it.
    if name=='__version__':
        from importlib.metadata import PackageNotFoundError,version
        try: return version(f'{__name__}-core') # the wheel that holds the modules; a source install is one package
        except PackageNotFoundError: return version(__name__)
    if name=='Detector':
        from .serve.detector import Detector
        return Detector
    if name in ('Client','AsyncClient'):
        from .serve import client
        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

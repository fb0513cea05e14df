"The wing `serve`: a folder at work, without fastai. It knows the ground floor and `text`, and of `text` neither `models` nor `tokenizer`, except inside a function"
from .folder import FolderError,DetectorFolder,read_folder
from .backends import Backend,backends,add_backend,why_not
from .detector import Detections,Detector
from . import explain as _explain,batching as _batching,limits as _limits,watch as _watch,service as _service
from . import routes as _routes,running as _running,client as _client,page as _page
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings

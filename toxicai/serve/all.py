"The wing `serve`: a folder at work, without fastai. It knows the ground floor and `text`, and of `text` neither `models` nor `tokenizer`, except inside a function"
from .folder import FolderError,DetectorFolder,read_folder
from .backends import Backend,backends,add_backend,why_not
from . import packaged as _packaged,decisions as _decisions,first as _first
from .detector import Detections,Detector
from . import explain as _explain,bulk as _bulk,batching as _batching,limits as _limits,watch as _watch
from . import service as _service,routes as _routes,running as _running,client as _client
from . import plaintext as _plaintext,messages as _messages,calls as _calls
from . import perspective as _perspective,openai as _openai,hosts as _hosts,page as _page
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings

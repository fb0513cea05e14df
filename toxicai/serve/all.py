"The wing `serve`: a folder at work, without fastai. It knows the ground floor and `text`, and of `text` neither `models` nor `tokenizer`, except inside a function"
from .folder import FolderError,DetectorFolder,read_folder
from .backends import Backend,backends,add_backend,why_not
from .detector import Detections,Detector
from . import bulk as _bulk # users import `score_files` from it
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings

"The wing `serve`: a folder at work, without fastai; it knows the ground floor and `text`"
from .folder import *
from .backends import *
from .detector import *

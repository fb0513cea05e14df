"The wing `text`: what a string is made of, and the network that reads it; it stands on the ground floor and knows nothing above itself"
from .core import *
from .evasion import *
from .rules import *
from .attacks import *
from .masking import *
from .identities import *
from .encoding import *
from .tokenizer import *
from .models import *

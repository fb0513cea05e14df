"The wing `text`: what a string is made of, and the network that reads it. It stands on the ground floor and knows nothing above itself"
from .evasion import swear_words
from .rules import Rules,presets,rule_names,add_rule
from .attacks import attacks,perturb,augmented
from .masking import mask_words
from .identities import identity_terms,identity_groups
from .tokenizer import TextEncoder,load_tokenizer,packaged_encoder
from .models import load_transformer,MeanPoolClassifier,transformer_splitter,layerwise_splitter,decayed_lrs
from .language import data_language
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings

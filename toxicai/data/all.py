"The wing `data`: any labelled comments in, loaders out. It knows the ground floor, `text` and `serve`, and not `judge`"
from .comments import Comments,clear_cache
from .corpora import Corpus,known_corpora,catalog
from .load import sample_csv,load_comments
from .duplicates import text_key,near_duplicates,label_conflicts,leakage_report
from .splits import grouped_split,folds,time_split,stratified_split,column_split
from .describe import Description,describe
from .encode import EncodedText,EncodeTfm
from .batches import BucketedDL
from .loaders import text_tfm,TransformerTextBlock,MultiLabelEncode,ToxicityDataLoaders
from .show import CommentTable,show_batch,show_results,plot_top_losses
import toxicai.data.store as _store # `from_store` and `from_stream` of the loaders
import toxicai.helptexts as _helptexts

_helptexts.put_help() # what arguments are, behind the docstrings

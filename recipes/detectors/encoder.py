"The multilingual encoder with the pieces that its languages use: intfloat/multilingual-e5-small (MIT)"
from pathlib import Path

from toxicai.train.distil import cut_vocabulary
from transformers import AutoModelForSequenceClassification,AutoTokenizer

def vocabulary_texts(df, seed=42, n=60_000, longest=1500):
    "Training rows in other languages, and `n` English ones, cut at `longest` characters"
    train = df[~df.dev]
    english = train[train.lang=='en'].sample(n, random_state=seed)
    return [*train[train.lang!='en'].text.str[:longest], *english.text.str[:longest]]

def cut_encoder(df, source, folder):
    "Write the encoder in `source` with the pieces of the frame's texts alone into `folder`"
    if (Path(folder)/'config.json').is_file(): return Path(folder)
    tok,net = cut_vocabulary(AutoTokenizer.from_pretrained(source), AutoModelForSequenceClassification.from_pretrained(source),
                             vocabulary_texts(df))
    net.save_pretrained(folder)
    tok.save_pretrained(folder)
    print(f'{len(tok):,} pieces stay')
    return Path(folder)

"The course of training: rows, loaders, one step after the other"
import json
from dataclasses import asdict,dataclass,field,replace
from pathlib import Path

import numpy as np,pandas as pd
from toxicai.all import *
from toxicai.runs.snapshots import checkpoint_numbers
from toxicai.text.evasion import swear_words
from toxicai.text.identities import identity_sentences
from toxicai.text.tokenizer import folder_tensors
from toxicai.train.averaging import mean_state
from .corpora import labels,others
from .sentences import spoken_rows

@dataclass(frozen=True)
class Step:
    "One pass of the course; every choice that matters stands here and is logged"
    name:str
    epochs:int = 1
    lr:float = 3e-4 # Largest rate of the head and the last layer
    decay:float = 0.9 # Each layer below learns at this share of the rate of the one above
    bs:int = 32 # texts
    max_length:int = 128 # tokens
    attacks:float = 0.1 # Share of the training rows that get a copy as evaders write it
    weak:bool = True # Are benign rows of sets of hate weakly not toxic (else not known)?
    weights:dict = field(default_factory=dict) # Source -> factor of its rows' weights
    frac:float = 1. # Share of the training rows
    shares:dict = field(default_factory=dict) # Source -> share of its rows, drawn anew by `seed`; 1 where none is given
    sentences:float = 0. # Share of the library's sentences about groups that are added, harmless and hateful
    languages:tuple = ('en',) # Of those sentences
    spoken:int = 0 # Sentences drawn from each pattern of `sentences.txt`
    layers:int = None # So many of the last layers learn, with the head; None: all
    rules:str = 'light' # Preset by which texts are read
    pooling:str = 'mean' # As for `toxicity_learner`
    seed:int = 42

# What an hour of one core allows: all of Jigsaw, a part of the rest; then the cleaner ones again, and others anew
some = dict(davidson=0.25, gab_hate_corpus=0.3, paradetox_en=0.3, toxic_spans_annotations=0.4, implicit_hate=0.4, hatexplain=0.4, cad_reddit=0.4,
            wiki_context_toxicity=0.3, civil_comments_balanced_sample=0.6, stormfront=0.5, edos_sexism=0.4, goemotions_benign=0.6,
            toxigen_annotated=0.7, online_misogyny=0.6)
less = dict(jigsaw_train_normalised_sixlabel=0.6, davidson=0.1, gab_hate_corpus=0.15, paradetox_en=0.2, toxic_spans_annotations=0.2,
            implicit_hate=0.2, hatexplain=0.2, cad_reddit=0.2, wiki_context_toxicity=0.25, civil_comments_balanced_sample=0.4, stormfront=0.3,
            edos_sexism=0.2, toxigen_annotated=0.5, online_misogyny=0.3, sbic_dev=0.5, dynahate_dev=0.7, hatemoji_build=0.7)
few = dict.fromkeys((*less, 'jigsaw_train_part', 'jigsaw_train_part2', 'jigsaw_en_10k_sample', 'convabuse'), 0.1)
few.update(goemotions_benign=0.5, bold_wikipedia_benign=0.5, crowdcounter_counterspeech=1., toxigen_annotated=0.3, dynahate_dev=0.5, hatemoji_build=0.3)
english_course = (Step('first', lr=2.5e-4, max_length=96, attacks=0.08, shares=some),
                  Step('second', lr=1.2e-4, max_length=128, attacks=0.1, shares=less, seed=43),
                  Step('third', lr=6e-5, max_length=128, attacks=0.1, shares=few, sentences=0.5, seed=44))
# After the course: the last two layers learn to read as the detector does, and kinds that the corpora hardly have. The mean
# of two such passes ships as an update of the network, a sixth of it.
again = dict(few, jigsaw_train_part=0.7, jigsaw_train_part2=0.8, jigsaw_train_normalised_sixlabel=0.6, goemotions_benign=1., toxigen_annotated=0.6,
             dynahate_dev=1., hatemoji_build=0.6, implicit_hate=0.25, sbic_dev=0.4, stormfront=0.25, gab_hate_corpus=0.12, paradetox_en=0.25,
             civil_comments_balanced_sample=0.3, cad_reddit=0.15, wiki_context_toxicity=0.3)
english_updates = tuple(Step(f'update-{o}', lr=1.5e-4, attacks=0.15, shares=again, sentences=0.5, spoken=24, layers=2, rules='strict', seed=o)
                        for o in (45,46))

# All languages in one pass: the sets of other languages whole or in good part, of English what has the six labels or teaches hate
world = dict(few, jigsaw_train_part=0.3, jigsaw_train_part2=0.6, jigsaw_train_normalised_sixlabel=0.3, jigsaw_en_10k_sample=0.1,
             dynahate_dev=0.6, hatemoji_build=0.6, toxigen_annotated=0.4, sbic_dev=0.4, stormfront=0.15, online_misogyny=0.15,
             davidson=0.05, gab_hate_corpus=0.05, cad_reddit=0.05, paradetox_en=0.05, edos_sexism=0.05, wiki_context_toxicity=0.08,
             goemotions_benign=0.3, bold_wikipedia_benign=0.3, crowdcounter_counterspeech=0.3, convabuse=0.3, cold_zh=0.5, told_br_pt=0.6)
# then what has the rare labels, threats above all, with a twentieth of the rest, so that nothing is forgotten
rare = dict(dict.fromkeys((*world, *(o.name for o in others)), 0.05), jigsaw_train_normalised_sixlabel=0.8, jigsaw_train_part2=0.8,
            jigsaw_train_part=0.1, edos_sexism=0.2, gab_hate_corpus=0.04, toxic_spans_annotations=0.15, cold_zh=0.04, paradetox_en=0.01,
            davidson=0.01, wiki_context_toxicity=0.02, hatexplain=0.02, implicit_hate=0.02, cad_reddit=0.01)
multilingual_course = (Step('world', lr=2.5e-4, max_length=96, attacks=0.06, shares=world, sentences=0.4, languages=('en','es')),
                       Step('rare', lr=1e-4, max_length=96, attacks=0.06, shares=rare, sentences=0.15, languages=('en','es'), seed=43))

def sentence_rows(share, seed, languages):
    "Some of the sentences about groups, which say the same of each: it is the sentence that decides, and no name of a group"
    df = pd.concat([identity_sentences(o) for o in languages]).sample(frac=share, random_state=seed)
    res = pd.DataFrame({o:0. for o in labels}, index=range(len(df)))
    hateful = df.hateful.to_numpy(float)
    unsaid = np.where(hateful>0, np.nan, 0.) # what hate is besides
    known = dict.fromkeys(('severe_toxic','threat','obscene','insult'), unsaid)
    return res.assign(text=df.text.to_numpy(), weight=1., dev=False, toxic=hateful, identity_attack=hateful, **known)

def training_rows(df, step):
    "The rows of `step` and copies as evaders write them; 2,000 development rows to watch the loss"
    train,dev = df[~df.dev],df[df.dev]
    dev = dev.sample(min(2000, len(dev)), random_state=0)
    if step.shares:
        parts = [o.sample(frac=step.shares.get(k, 1.), random_state=step.seed) for k,o in train.groupby('source')]
        train = pd.concat(parts)
    if step.frac<1: train = train.sample(frac=step.frac, random_state=step.seed)
    res = pd.concat([train,dev], ignore_index=True)
    res['weight'] *= res.source.map(step.weights).fillna(1.)
    if not step.weak: res.loc[res.toxic==0.1, 'toxic'] = np.nan
    res = res[['text',*labels,'weight','dev']]
    if step.spoken:
        drawn = spoken_rows(step.spoken, step.seed)
        res = pd.concat([drawn[[*res.columns]], res], ignore_index=True)
    if step.sentences: res = pd.concat([sentence_rows(step.sentences, step.seed, step.languages), res], ignore_index=True)
    if not step.attacks: return res
    return augmented(res, 'text', share=0.5, words=set(swear_words), seed=step.seed, valid_col='dev', frac=step.attacks)

def learner_for(df, step, encoder, body):
    "A learner for `step` that begins with the weights in `body`: a checkpoint or a detector folder"
    dls = ToxicityDataLoaders.from_df(training_rows(df, step), encoder, label_cols=list(labels), valid_col='dev', weight_col='weight',
                                      bs=step.bs, val_bs=256, max_length=step.max_length, rules=step.rules, seed=step.seed)
    return toxicity_learner(dls, body, pooling=step.pooling, seed=step.seed, metrics=[], splitter=layerwise_splitter,
                             train_bn=step.layers is None)

def run_step(df, step, encoder, body, folder):
    "Train `step`, from its last checkpoint in `folder` where it was stopped, and write `folder/detector`"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder/'step.json').write_text(json.dumps(asdict(step), indent=1))
    learn = learner_for(df, step, encoder, body)
    states = folder/'checkpoints'
    if states.is_dir() and checkpoint_numbers(states): learn.resume(states)
    else:
        learn.create_opt()
        if step.layers: learn.freeze_to(-1-step.layers)
        lrs = decayed_lrs(step.lr, len(learn.opt.param_lists), step.decay)
        learn.fit_linear(step.epochs, lrs, pct_start=0.06, cbs=Checkpoint(states, every=500))
    learn.labels = learn.labels.with_clean([])
    learn.save_detector(folder/'detector', onnx=True)
    return folder/'detector'

def soup_of(df, step, encoder, folders, folder):
    "The mean of the weights in `folders` (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482), as a detector folder"
    some_rows = pd.concat([df[~df.dev].head(2000), df[df.dev].head(500)]) # to measure what int8 changes
    plain = replace(step, shares={}, attacks=0., sentences=0., spoken=0)
    learn = learner_for(some_rows, plain, encoder, folders[0])
    learn.model.load_state_dict(mean_state([folder_tensors(o) for o in folders]), strict=False)
    learn.labels = learn.labels.with_clean([])
    return learn.save_detector(Path(folder)/'detector', onnx=True)

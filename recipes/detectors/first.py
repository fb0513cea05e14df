"The first stage of the English detector: which texts it learns from and is measured on, what the network says of them"
from dataclasses import replace
from pathlib import Path

import numpy as np
from toxicai.serve.first import fit_first,letters_read,most_errors,stage_facts,usual_bound
from toxicai.text.encoding import apply_rules

# Talk pages of Wikipedia
like_traffic = ('jigsaw_train_part','jigsaw_train_part2','jigsaw_en_10k_sample','wiki_context_toxicity')

def first_rows(df):
    "Training rows that are like traffic, then development rows of Jigsaw as they come; which of both are held out"
    learnt = np.flatnonzero(~df.dev & df.source.isin(like_traffic))
    held = np.flatnonzero(df.dev & (df.source=='jigsaw_train_part'))
    return np.concatenate([learnt, held]),np.arange(len(learnt)+len(held))>=len(learnt)

def network_logits(det, texts, kept=None, at_once=4096):
    "Logits of the network of `det` for `texts`, those that the file `kept` has from there; it grows with each chunk"
    found = np.zeros((0,len(det.labels)), np.float32)
    if kept and Path(kept).exists(): found = np.load(kept)['logits'][:len(texts)]
    while len(found)<len(texts):
        found = np.concatenate([found, det(texts[len(found):len(found)+at_once], 'all').logits])
        if kept: np.savez(kept, logits=found)
    return found

def first_stage(df, det, kept=None, **kwargs):
    "A first stage for `det`, compared with it on rows that neither was fitted to; the targets of these rows"
    at,held = first_rows(df)
    texts = df.text.iloc[at].tolist()
    logits = network_logits(det, texts, kept)
    plain,reach = apply_rules(det.enc.rules, texts),letters_read(det.folder)
    stage = fit_first(plain, logits, held_out=held, reach=reach, **kwargs)
    return stage,df.toxic.to_numpy(float)[at[held]]

def compared_anew(df, det, stage):
    "`stage` with what it and `det` say of the development rows, where `det` reads texts otherwise than when it was fitted; their targets"
    at,held = first_rows(df)
    rows = df.iloc[at[held]]
    texts = rows.text.tolist()
    own,readable = stage(apply_rules(det.enc.rules, texts))
    return replace(stage, own=own, readable=readable, theirs=det(texts, 'all').logits),rows.toxic.to_numpy(float)

def bound_that_holds(stage, compared, labels):
    "Where `stage` answers alone and the facts of this: the largest bound to ask of it with which `compared` keeps the usual one"
    for asked in usual_bound*np.arange(20, 0, -1)/20:
        cut = stage.cut_for(labels, asked)
        facts = stage_facts(compared, labels, cut)
        if most_errors(facts['differing'])<=usual_bound*facts['answered']: return cut,{**facts, 'asked':float(asked)}
    raise ValueError("the first stage keeps no bound with this network: fit it anew")

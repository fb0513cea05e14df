"One frame of all corpora: text, six labels, weight, source, language, group, and which rows are for development"
import os,re
from pathlib import Path

import numpy as np,pandas as pd
from toxicai.data.duplicates import near_duplicates
from toxicai.text.evasion import swear_words
from .corpora import is_dev_split,labels,weak

def data_folder():
    "Where the corpora are"
    path = os.environ.get('TOXICAI_DATA')
    if not path or not Path(path).is_dir(): raise FileNotFoundError("set TOXICAI_DATA to the folder of the corpora (*.parquet)")
    return Path(path)

def swears(texts):
    "Does a word of our list of profanity stand in a text? shape (n,)"
    words = set(swear_words)
    return np.array([not words.isdisjoint(re.findall(r"\w+", o.lower())) for o in texts])

def rows_of(source):
    "The rows of one corpus in our columns"
    df = pd.read_parquet(data_folder()/f'{source.name}.parquet')
    if source.prepare: df = source.prepare(df)
    df = df.reset_index(drop=True)
    res = pd.DataFrame({'text':df[source.text].astype(str), **{o:np.nan for o in labels}})
    for k,v in source.judge(df).items(): res[k] = np.asarray(v, float)
    res['weight'],res['source'] = source.weight,source.name
    res['lang'] = df[source.lang_col] if source.lang_col else source.lang
    own = df[source.own].astype(str) if source.own else pd.Series(np.arange(len(df)).astype(str))
    pair = own if source.group is None else df[source.group].astype('string').fillna(own)
    res['own'],res['pair'] = (source.name+' '+o.astype(str) for o in (own,pair))
    res['official_dev'] = is_dev_split(df, source)
    if source.name=='jigsaw_train_part': res['representative'] = df.representative_sample.to_numpy(bool)
    unsure = (res.toxic==weak)&swears(res.text)
    res.loc[unsure, 'toxic'] = np.nan # swears, and nobody was asked whether that is toxic
    known = res[list(labels)].notna().any(axis=1)&(res.text.str.strip()!='')
    return res[known].reset_index(drop=True)

def joined_groups(*names):
    "Rows that share a name, in the same column of `names` or in another, numbered; each of shape (n,)"
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    n = len(names[0])
    codes,known = pd.factorize(np.concatenate(names))
    size,rows = n+len(known),np.tile(np.arange(n), len(names))
    links = coo_matrix((np.ones(len(rows)), (rows,n+codes)), shape=(size,size))
    return connected_components(links, directed=False)[1][:n]

def dev_rows(df, share, most, seed=42):
    "Which rows are for development: official ones, and of every corpus groups drawn up to `share` or `most` rows"
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(df), bool)
    for name,part in df.groupby('source', sort=True):
        if part.official_dev.any():
            chosen[part.index[part.official_dev]] = True
            continue
        pool = part[part.representative==True] if name=='jigsaw_train_part' else part
        limit = 8000 if name=='jigsaw_train_part' else min(most, int(len(part)*share))
        order = rng.permutation(pool.group.unique())
        sizes = pool.groupby('group').size().loc[order].cumsum()
        chosen[part.index[part.group.isin(order[:int((sizes<=limit).sum())])]] = True
    return chosen|df.group.isin(df.group[chosen]).to_numpy() # copies in other corpora come along

def whole_frame(sources, share=0.1, most=1000):
    "All rows of `sources`; `dev` says which are for development"
    df = pd.concat([rows_of(o) for o in sources], ignore_index=True)
    df['group'] = joined_groups('alike '+pd.Series(near_duplicates(df.text.tolist())).astype(str), df.own, df.pair)
    df['dev'] = dev_rows(df, share, most)
    return df

def without_copies(df):
    "One row for each text (first source first), so that copies count once"
    key = df.text.str.lower().str.replace(r'\W+', '', regex=True)
    return df[~key.duplicated()|df.dev].reset_index(drop=True)

"""How long duplicates take to find, how well labels keep their share in splits, and what leaks from file to file of
the data folder. Real data, found through TOXICAI_DATA.

    python -m benchmarks.duplicates [time labels recall inside across]
"""
import time
from itertools import combinations

from benchmarks.common import *
from toxicai.tables import as_list
from toxicai.data.duplicates import *
from toxicai.data.splits import *

# Files: name -> (text column or columns, label column or columns, None where every row has the same)
files = dict(jigsaw_train_part=('comment_text',jigsaw_labels),
             jigsaw_train_normalised_sixlabel=('comment_text',jigsaw_labels),
             civil_comments_balanced_sample=('text','toxic'), wiki_context_toxicity=('text','toxic'),
             toxic_spans_semeval2021=('text',None), toxic_spans_annotations=('text',None),
             davidson=('text','label_name'), hatexplain=('text','label'),
             offendes_es=('text','label'), detoxis_es=('text','toxic'),
             paradetox_en=('toxic',None), glue_sst2=('sentence','label'),
             glue_mrpc=(['sentence1','sentence2'],'label'), imdb_train_10k=('text','label'))
domains = [['jigsaw_train_part','jigsaw_train_normalised_sixlabel','civil_comments_balanced_sample',
            'wiki_context_toxicity','toxic_spans_semeval2021','toxic_spans_annotations'],
           ['davidson','hatexplain'], ['offendes_es','detoxis_es']]
with_splits = dict.fromkeys(['glue_sst2','hatexplain','offendes_es','toxic_spans_semeval2021','glue_mrpc'], 'train')

def common(name):
    "Frame with `text`, and `toxic` and the other labels that files share"
    df,(text,labels) = data_file(name),files[name]
    df = df.rename(columns={text:'text'}) if isinstance(text, str) else df
    if name in ('toxic_spans_semeval2021','toxic_spans_annotations'): df = df.assign(toxic=1)
    if name=='davidson': df = df.assign(toxic=(df.label!=2).astype(int))
    if name=='hatexplain': df = df.assign(toxic=(df.label!='normal').astype(int))
    if name=='offendes_es': df = df.assign(toxic=df.label.isin(['OFP','OFG']).astype(int))
    return df[['text',*[o for o in jigsaw_labels if o in df]]]

def leak_row(train, test, report):
    c = report.counts.set_index('duplicates')
    other = int(c['other labels']['both']) if 'other labels' in c else '–'
    return {'training set':train, 'test set':test, 'test rows':report.n_test, 'exact':int(c['test rows']['exact']),
            'near':int(c['test rows']['near']), '% of test':float(c['% of test']['both']), 'other labels':other}

# Sections

def run_time():
    df = data_file('jigsaw_train_part')
    rows = []
    for name,args in dict(exact=(None,), near=()).items():
        start,cpu = time.perf_counter(),time.process_time()
        groups = near_duplicates(df.comment_text, *args)
        took = dict(seconds=time.perf_counter()-start, cpu_seconds=time.process_time()-cpu)
        rows.append(dict(duplicates=name, texts=len(groups), groups=int(groups.max())+1, **took))
    show(rows, 'Time for jigsaw_train_part')

def run_labels():
    df = data_file('jigsaw_train_part')
    train,valid = grouped_split(df, 'comment_text', jigsaw_labels)
    fold = folds(df, 5, 'comment_text', jigsaw_labels)
    def _row(label):
        y = df[label]
        share = 100*float(y.iloc[valid].sum()/y.sum())
        return {'label':label, 'rows':int(y.sum()), '% in validation (20 asked for)':share,
                'rows in the five folds':' '.join(map(str, y.groupby(fold).sum()))}
    show([_row(o) for o in jigsaw_labels],
         f'Labels of jigsaw_train_part in grouped_split ({len(valid):,} of {len(df):,} rows in validation) '
         'and folds, seed 42')

def run_recall():
    "Comments that two files hold under the same id, once as written and once normalised"
    a,b = data_file('jigsaw_train_part'),data_file('jigsaw_train_normalised_sixlabel')
    b = b[b.id.isin(a.id)]
    pairs = b.merge(a, on='id', suffixes=('_b','_a'))
    rows = []
    for thresh in (None,0.9,0.8,0.7,0.6):
        groups = near_duplicates([*pairs.comment_text_a, *pairs.comment_text_b], thresh)
        found = groups[:len(pairs)]==groups[len(pairs):]
        share = 100*float(found.mean())
        rows.append({'thresh':str(thresh), 'pairs of one id':len(pairs), 'found':int(found.sum()), '%':share})
    show(rows, 'Copies that are known by their id: jigsaw_train_part and jigsaw_train_normalised_sixlabel')

def copies_row(name):
    "How many rows of a file are copies, and how many have duplicates with other labels"
    df,(text,labels) = data_file(name),files[name]
    texts = column_texts(df, as_list(text))
    exact,near = near_duplicates(texts, None),near_duplicates(texts)
    def _copies(groups): return len(df)-int(groups.max())-1
    def _clash(groups): return int(contradicting(label_values(df, as_list(labels)), groups).sum()) if labels else '–'
    return {'file':name, 'rows':len(df), 'exact copies':_copies(exact), 'with near ones':_copies(near),
            'rows with other labels, exact':_clash(exact), 'with near ones ':_clash(near)}

def splits_row(name, first):
    "What the other splits of a file have of its split `first`"
    df,(text,labels) = data_file(name),files[name]
    train = df.split==first
    report = leakage_report(df[train], df[~train], text, labels)
    return leak_row(f'{name} {first}', ', '.join(df.split[~train].unique()), report)

def run_inside():
    show(list(map(copies_row, files)),
         'Inside each file: copies of an earlier row, and rows whose duplicates have other labels')
    show([splits_row(*o) for o in with_splits.items()], 'Between the official splits of one file')

def run_across():
    rows = []
    for names in domains:
        frames = {o:common(o) for o in names}
        for a,b in combinations(names, 2):
            both = [o for o in jigsaw_labels if o in frames[a] and o in frames[b]]
            rows.append(leak_row(a, b, leakage_report(frames[a], frames[b], 'text', both)))
    show(rows, 'Between files of one domain (labels compared: those that both have)')

sections = dict(time=run_time, labels=run_labels, recall=run_recall, inside=run_inside, across=run_across)

if __name__=='__main__':
    p = parser_of(__doc__)
    p.add_argument('sections', nargs='*', default=list(sections))
    args = p.parse_args()
    quiet()
    print(machine())
    for o in args.sections: sections[o]()

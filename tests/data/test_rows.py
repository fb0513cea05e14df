"Formats and corpora that are added from outside, the files that the cache shares between processes, and how rows come out of a source"
import multiprocessing
from pathlib import Path

import datasets as hf
import numpy as np,pandas as pd,pyarrow as pa,pytest
from toxicai.data.corpora import *
from toxicai.data.load import *
from toxicai.data.rows import *
from toxicai.data.textfiles import *

@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch): monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path_factory.mktemp('cache'))

# A format from outside: comments with `+` or `-` before them

def sign_columns(path, how, notes): return {'text':pa.string(), 'toxic':pa.string()}
def sign_batches(columns, path, how, report):
    lines = [o.decode() for _,o in numbered_lines(path, how.encoding, report)]
    batch = pa.RecordBatch.from_pydict({'text':[o[1:] for o in lines], 'toxic':['1' if o[0]=='+' else '0' for o in lines]})
    yield path.name,0,batch if columns is None else batch.select(columns)

@pytest.fixture
def signs(monkeypatch): monkeypatch.setitem(file_formats, 'signs', FileFormat('signs', ('.sgn',), sign_columns, sign_batches))

def test_format_from_outside(signs, tmp_path):
    "Found in folders and patterns, read with splits and options, part of the errors"
    (tmp_path/'train.sgn').write_bytes('+café\n-merci\n'.encode('cp1252'))
    (tmp_path/'test.sgn').write_bytes(b'-thanks\n')
    for source in (tmp_path, str(tmp_path/'*.sgn')):
        c = load_comments(source, encoding='cp1252')
        assert c['text'][:]==['thanks','café','merci'] and c['toxic'][:]==[0.,1.,0.] and c.splits()=={'test':1, 'train':2}
    (tmp_path/'more.csv').write_text('text,toxic\na,1\n')
    with pytest.raises(ValueError, match=r"several formats \['csv', 'signs'\]"): load_comments(tmp_path)
    (tmp_path/'notes.md').write_text('')
    with pytest.raises(ValueError, match=r"\.feather, \.sgn"): load_comments(tmp_path/'notes.md')

def test_format_is_gone(tmp_path):
    (tmp_path/'train.sgn').write_text('+a\n')
    with pytest.raises(ValueError, match='has no table'): load_comments(tmp_path)

def test_endings():
    "No ending belongs to two formats, and each is found in any case, compressed or not"
    endings = [(e, o) for o in file_formats.values() for e in o.endings]
    assert len({e for e,_ in endings})==len(endings)
    for e,o in endings:
        for name in (f'a{e}', f'a.b{e.upper()}', f'a{e}.gz', f'a{e}.gz.zst'): assert file_format(Path(name)) is o
    for name in ('a', 'a.gz', 'a.md', '.csv.d/a'): assert file_format(Path(name)) is None

# A corpus from outside

def test_corpus_from_outside(tmp_path, monkeypatch):
    "Loaded by name, listed, and missed with what to do"
    layout = Layout(('body','vote'), {'body':'text', 'vote':'label'}, {'label':{'1':'rude', '0':'kind'}})
    corpus = Corpus('forum', 'Posts', rows=2, language='en', kind='single', licence='ours', citation='us', layouts=(layout,), labels=('label',), classes=('kind','rude'))
    monkeypatch.setitem(known_corpora, 'forum', corpus)
    monkeypatch.setenv('TOXICAI_DATA', str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"put it as forum.csv.*\['body', 'vote'\]"): load_comments('forum')
    (tmp_path/'forum.csv').write_text('body,vote\na,1\nb,0\nc,-1\n')
    c = load_comments('forum')
    assert c['label'][:]==['rude','kind',None] and list(c.labels)==['kind','rude'] and catalog().here['forum']=='forum.csv'

# Files of the cache

def _write(path, i):
    write_arrow(iter([pa.RecordBatch.from_pydict({'n':[i]*50_000})]*5), Path(path))

def test_writers_at_once(tmp_path):
    "Several processes make the same table: a reader sees one of them whole, and no part is left"
    path,ctx = tmp_path/'a.arrow',multiprocessing.get_context('spawn')
    jobs = [ctx.Process(target=_write, args=(str(path), i)) for i in range(3)]
    for o in jobs: o.start()
    for o in jobs: o.join()
    n = np.concatenate([b['n'].to_numpy() for _,_,b in arrow_batches(None, path)])
    assert len(n)==250_000 and len(set(n))==1 and [o.name for o in tmp_path.iterdir()]==['a.arrow']

def test_failed_write(tmp_path):
    def _batches():
        yield pa.RecordBatch.from_pydict({'n':[1]})
        raise OSError('disk full')
    write_arrow(iter([pa.RecordBatch.from_pydict({'n':[0]})]), tmp_path/'a.arrow')
    with pytest.raises(OSError, match='disk full'): write_arrow(_batches(), tmp_path/'a.arrow')
    assert [b['n'].to_pylist() for _,_,b in arrow_batches(None, tmp_path/'a.arrow')]==[[0]] and [o.name for o in tmp_path.iterdir()]==['a.arrow']

# Columns

@pytest.mark.parametrize('make', [pa.Table.from_pandas, lambda df: df, lambda df: df.to_dict('records'), hf.Dataset.from_pandas, lambda df: hf.DatasetDict(train=hf.Dataset.from_pandas(df))],
                         ids=['table','frame','records','dataset','dict'])
def test_columns_in_the_order_asked_for(make):
    rows = open_rows(make(pd.DataFrame(dict(a=['x','y'], b=[1,2], c=[.5,.5]))))
    for want in (['c','a'], ['b'], ['a','b','c']):
        got = [b for _,_,b in rows.read(want)]
        assert all(o.schema.names==want for o in got) and sum(o.num_rows for o in got)==2

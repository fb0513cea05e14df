"Every kind of source gives the same tidy comments; whatever is odd about one is an error with its row, or a repair with its count"
import bz2,csv,gzip,json,lzma,os,re,subprocess,sys,zipfile
from pathlib import Path

import datasets as hf
import numpy as np,pandas as pd,pyarrow as pa,pyarrow.parquet as pq,pytest
from hypothesis import HealthCheck,given,settings,strategies as st
from toxicai.tables import most_unfolded
from toxicai.data.load import *
from toxicai.data.splits import *
from toxicai.files import whole_file
from toxicai.labels import *
from toxicai.streams import *
from toxicai.data.textfiles import *
from toxicai.data.rows import *
from toxicai.data.comments import *

nan = float('nan')

@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path_factory.mktemp('cache'))

texts = ['well done', 'you fool, "you"', 'two\nlines', 'naïve ☕ 你好 مرحبا', ' ', 'tab\there; semi|pipe']
def frame(): return pd.DataFrame(dict(id=[f'{i:03}' for i in range(6)], text=texts, toxic=[0,1,None,0,0,1], insult=[0.,1.,0.,None,0.,1.]))

def check(c, n=6):
    assert isinstance(c, Comments) and len(c)==n
    assert c.text_cols==['text'] and c.label_cols==['toxic','insult'] and c.labels==LabelSet(['toxic','insult'])
    assert c['text'][:]==texts[:n] if n==6 else True
    df = c.to_frame()
    assert df.toxic.dtype=='float32'
    np.testing.assert_array_equal(df[['toxic','insult']], frame()[['toxic','insult']].astype('float32'))
    assert df.id.tolist()==frame().id.tolist()

# Sources

def arrow(): return pa.Table.from_pandas(frame())
def records(): return [{k:None if v!=v else v for k,v in o.items()} for o in frame().to_dict('records')]
def generated(): yield from records()
sources = {
    'pandas': frame, 'pandas object': lambda: frame().astype(object), 'pandas nullable': lambda: frame().convert_dtypes(), 'pandas odd index': lambda: frame().set_index(pd.Index(list('aabbcc'))),
    'pyarrow': arrow, 'large strings': lambda: arrow().cast(pa.schema([(f.name, pa.large_string() if f.type==pa.string() else f.type) for f in arrow().schema])),
    'record batch reader': lambda: arrow().to_reader(2), 'list of dicts': records, 'Dataset': lambda: hf.Dataset.from_pandas(frame()),
    'Dataset with indices': lambda: hf.Dataset.from_pandas(frame()[::-1].reset_index(drop=True)).select(range(5, -1, -1)),
    'IterableDataset': lambda: hf.Dataset.from_pandas(frame()).to_iterable_dataset(), 'generator': lambda: hf.IterableDataset.from_generator(generated)}

@pytest.mark.parametrize('name', sources)
def test_sources(name): check(load_comments(sources[name]()))

def test_polars():
    pl = pytest.importorskip('polars')
    check(load_comments(pl.from_pandas(frame())))
    with pytest.raises(TypeError, match='collect'): load_comments(pl.from_pandas(frame()).lazy())

def test_dataset_dict():
    ds = hf.DatasetDict(train=hf.Dataset.from_pandas(frame()[:4]), test=hf.Dataset.from_pandas(frame()[4:]))
    c = load_comments(ds)
    check(c)
    assert c.splits()=={'train':4, 'test':2} and len(load_comments(ds, split='test'))==2
    with pytest.raises(ValueError, match='different columns'): load_comments(hf.DatasetDict(train=ds['train'], test=ds['test'].remove_columns('id')))
    with pytest.raises(ValueError, match='at least one split'): load_comments(hf.DatasetDict())

def test_class_label():
    ds = hf.Dataset.from_dict(dict(text=list('abc'), label=[1,0,-1])).cast_column('label', hf.ClassLabel(names=['kind','rude']))
    c = load_comments(ds)
    assert c['label'][:]==['rude','kind',None] and list(c.labels)==['kind','rude'] and c.report["rows without a label in 'label'"]==1

def test_source_stays(tmp_path):
    df = frame()
    load_comments(df)
    pd.testing.assert_frame_equal(df, frame())

nested = {'Sequence':hf.Sequence(hf.ClassLabel(names=['spam','rude'])), 'List':hf.List(hf.ClassLabel(names=['spam','rude'])), 'LargeList':hf.LargeList(hf.ClassLabel(names=['spam','rude']))}

@pytest.mark.parametrize('stream', [False,True])
@pytest.mark.parametrize('name', nested)
def test_lists_of_class_labels(name, stream):
    "Numbers in lists have names too, in the order that the `ClassLabel` declares; -1 and a missing list say nothing"
    features = hf.Features(text=hf.Value('string'), tags=nested[name])
    ds = hf.Dataset.from_dict(dict(text=list('abcd'), tags=[[1],[],None,[0,1,-1]]), features=features)
    c = load_comments(ds.to_iterable_dataset() if stream else ds)
    assert list(c.labels)==['spam','rude'] and c['rude'][:]==[1.,0.,None,1.] and c['spam'][:]==[0.,0.,None,1.]

def test_lists_of_lists():
    features = hf.Features(text=hf.Value('string'), toxic=hf.Value('int64'), spans=hf.List(hf.List(hf.ClassLabel(names=['spam','rude']))))
    c = load_comments(hf.Dataset.from_dict(dict(text=list('ab'), toxic=[0,1], spans=[[[0],[1,0]],[None]]), features=features))
    assert c['spans'][:]==[[['spam'],['rude','spam']],[None]]

# Formats and compression

def write(path, fmt):
    df = frame()
    if fmt=='csv': return path.write_bytes(df.to_csv(index=False).encode())
    if fmt=='tsv': return path.write_bytes(df.to_csv(index=False, sep='\t').encode())
    if fmt=='jsonl': return path.write_text('\n'.join(json.dumps(o) for o in records()), encoding='utf-8')
    if fmt=='json': return path.write_text(json.dumps(records(), indent=1), encoding='utf-8')
    if fmt=='parquet': return df.to_parquet(path, row_group_size=2)
    with pa.OSFile(str(path), 'wb') as f, (pa.ipc.new_file if fmt=='feather' else pa.ipc.new_stream)(f, arrow().schema) as w: w.write_table(arrow())

def pack(path, how):
    data = path.read_bytes()
    return {'gz':gzip.compress, 'bz2':bz2.compress, 'xz':lzma.compress, 'zst':_zstd}[how](data)

def _zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, 'zstd') as f: f.write(data)
    return sink.getvalue().to_pybytes()

@pytest.mark.parametrize('how', ['','gz','zst','bz2','xz'])
@pytest.mark.parametrize('fmt', ['csv','tsv','jsonl','json','parquet','arrow','feather'])
def test_formats(fmt, how, tmp_path):
    path = tmp_path/f'a.{fmt}'
    write(path, fmt)
    if how and fmt in ('arrow','feather'): pytest.skip('Arrow files are memory-mapped as they are')
    if how: path = path.with_name(f'{path.name}.{how}'); path.write_bytes(pack(path.with_suffix(''), how)); path.with_suffix('').unlink()
    check(load_comments(path))
    check(load_comments(str(path)))
    check(load_comments(tmp_path))
    check(load_comments(str(tmp_path/'*.*')))

def test_wrong_ending(tmp_path):
    "Compression shows in the content, not in the name"
    write(tmp_path/'a.csv', 'csv')
    (tmp_path/'a.csv').write_bytes(gzip.compress((tmp_path/'a.csv').read_bytes()))
    check(load_comments(tmp_path/'a.csv'))

def test_folder(tmp_path):
    for i in range(3): frame()[2*i:2*i+2].to_parquet(tmp_path/f'part-{i}.parquet')
    (tmp_path/'README.md').write_text('about')
    check(load_comments(tmp_path))
    assert load_comments(tmp_path).split_col is None

def test_file_splits(tmp_path):
    for k,part in dict(train=frame()[:4], dev=frame()[4:]).items(): part.to_csv(tmp_path/f'{k}.csv', index=False)
    c = load_comments(tmp_path)
    assert c.splits()=={'validation':2, 'train':4} and len(c.part('valid'))==2 and any('split' in o for o in c.report)

def test_save_to_disk(tmp_path):
    hf.Dataset.from_pandas(frame()).save_to_disk(tmp_path/'ds')
    check(load_comments(tmp_path/'ds'))

cells = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0\r'), max_size=30)

@given(st.lists(st.tuples(cells.filter(lambda o: o.strip()), st.sampled_from([0,1,None])), min_size=2, max_size=30).filter(lambda o: {v for _,v in o}>={0,1}))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path, rows):
    "Any text survives CSV and JSON lines unchanged"
    df = pd.DataFrame(rows, columns=['text','toxic'])
    path = tmp_path/f'{abs(hash(str(rows)))}'
    df.to_csv(f'{path}.csv', index=False, lineterminator='\n')
    df.to_json(f'{path}.jsonl', orient='records', lines=True)
    for o in ('csv','jsonl'):
        c = load_comments(f'{path}.{o}')
        assert c['text'][:]==df.text.tolist()
        np.testing.assert_array_equal(c.to_frame().toxic, df.toxic.astype('float32'))

# The cache

def test_facts_are_written_whole(tmp_path, monkeypatch):
    "A process that ends while it writes leaves no half of a file"
    write(tmp_path/'a.csv', 'csv')
    folder,put = Path(hf.config.HF_DATASETS_CACHE),os.replace
    def _dies(a, b):
        if str(b).endswith('.json'): raise KeyboardInterrupt
        put(a, b)
    monkeypatch.setattr(os, 'replace', _dies)
    with pytest.raises(KeyboardInterrupt): load_comments(tmp_path/'a.csv')
    assert [*folder.rglob('*.arrow')] and not [*folder.rglob('*.json'), *folder.rglob('*.part')]
    monkeypatch.undo()
    assert len(load_comments(tmp_path/'a.csv'))==6

def middle(b): return b[:len(b)//2]+bytes([b[len(b)//2]^4])+b[len(b)//2+1:]
cache_damage = {'empty':lambda b: b'', 'cut':lambda b: b[:len(b)//2], 'end cut':lambda b: b[:-8], 'a flipped bit':middle, 'zeros':lambda b: bytes(len(b)), 'more':lambda b: b+b'x',
                'a list':lambda b: b'[]', 'nested':lambda b: b'['*10**5, 'old facts':lambda b: b'{"report":{},"labels":null}', 'other facts':lambda b: b.replace(b'insult', b'insane')}

@pytest.mark.parametrize('ending', ['arrow','json'])
@pytest.mark.parametrize('how', cache_damage)
def test_damaged_cache(how, ending, tmp_path):
    "Made anew, and whole afterwards"
    write(tmp_path/'a.csv', 'csv')
    first = load_comments(tmp_path/'a.csv')
    (path,) = cache_folder().glob(f'*.{ending}')
    whole = path.read_bytes()
    path.write_bytes(cache_damage[how](whole))
    again = load_comments(tmp_path/'a.csv')
    check(again)
    assert path.read_bytes()==whole and again.report==first.report and again.labels==first.labels

def test_same_size_and_time(tmp_path):
    "Another content is another table: a file, a member of a zip archive, a saved data set"
    path,at = tmp_path/'a.csv',(10**18,10**18)
    def _file(text): path.write_text(f'text,toxic\n{text},1\nother,0\n')
    def _zip(text):
        with zipfile.ZipFile(tmp_path/'a.zip', 'w') as z: z.writestr('b.csv', f'text,toxic\n{text},1\nother,0\n')
    for source,put in ((path, _file), (tmp_path/'a.zip', _zip)):
        for text in ('one','two'):
            put(text)
            os.utime(source, ns=at)
            assert load_comments(source)['text'][:]==[text,'other']
    for text in ('one','two'):
        ds = hf.Dataset.from_dict(dict(text=[text,'other'], toxic=[1,0]))
        ds._fingerprint = 'same'
        ds.save_to_disk(str(tmp_path/text))
        assert load_comments(tmp_path/text)['text'][:]==[text,'other']

@pytest.mark.skipif(os.name=='nt', reason='no modes of files')
def test_cache_is_private(tmp_path, monkeypatch):
    "Folder and files, under a lax umask and in a folder that was open before; temporary ones too"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    (tmp_path/'cache/toxicai').mkdir(parents=True, mode=0o777)
    write(tmp_path/'a.csv', 'csv')
    old = os.umask(0)
    try: load_comments(tmp_path/'a.csv'),write_arrow(iter([pa.RecordBatch.from_pydict({'n':[1]})]), scratch_file())
    finally: os.umask(old)
    modes = {o.suffix:o.stat().st_mode&0o777 for o in [cache_folder(), *cache_folder().iterdir(), *scratch_file().parent.iterdir()]}
    assert modes=={'':0o700, '.arrow':0o600, '.json':0o600} and scratch_file().parent.stat().st_mode&0o777==0o700

def test_clear_cache_leaves_others(tmp_path):
    "What has another name, and what a process writes at this moment"
    write(tmp_path/'a.csv', 'csv')
    load_comments(tmp_path/'a.csv')
    names = {'notes.json','mine.arrow','x.part'}
    for o in names: (cache_folder()/o).write_text('mine')
    dead = cache_folder()/('0'*24+'.arrow-'+'1'*32+'.part')
    dead.write_bytes(b'left')
    with whole_file(cache_folder()/('0'*24+'.arrow')) as part:
        if os.name!='nt': dead.write_bytes(b'left')
        clear_cache()
        assert part.exists() and {o.name for o in cache_folder().iterdir()}==names|{part.name}

refusing = """
import os,resource,signal,sys,warnings
from pathlib import Path
warnings.simplefilter('always')
from toxicai.data.comments import *
from toxicai.data.load import load_comments
how,path = sys.argv[1:]
folder = cache_folder()
folder.mkdir(parents=True)
if how=='read-only': folder.chmod(0o500)
if how=='a file': folder.rmdir(), folder.write_text('')
if os.getuid()==0: os.chmod(folder.parent.parent, 0o777), os.chown(folder, 65534, 65534), os.chown(folder.parent, 65534, 65534), os.setegid(65534), os.seteuid(65534)
if how=='full': resource.setrlimit(resource.RLIMIT_FSIZE, (20_000,20_000))
try: print(len(load_comments(path)))
except OSError as e: print(type(e).__name__, e)
"""

@pytest.mark.slow
@pytest.mark.skipif(os.name=='nt', reason='no limits of files')
@pytest.mark.parametrize('how, match', [('read-only', "^.*2000\n"), ('a file', "^.*2000\n"), ('full', 'OSError no tidy table could be written .*Make room')])
def test_cache_takes_nothing(how, match, tmp_path, tmp_path_factory):
    "An ordinary user's read-only folder, a file in its place, a full disk: a table for this process with a warning, or what to do"
    import tempfile
    with tempfile.TemporaryDirectory(dir='/tmp') as home:
        os.chmod(home, 0o777)
        (Path(home)/'a.csv').write_text('text,toxic\n'+'a comment of some length,1\nb,0\n'*1000)
        env = {**os.environ, 'HF_DATASETS_CACHE':f'{home}/cache', 'TMPDIR':home, 'HOME':home}
        res = subprocess.run([sys.executable, '-c', refusing, how, f'{home}/a.csv'], capture_output=True, text=True, env=env)
    assert re.search(match, res.stdout, re.M), (res.stdout,res.stderr[-2000:])
    assert 'is not kept for the next time' in res.stderr and 'HF_DATASETS_CACHE' in res.stderr

together = """
import os,random,sys,time
from toxicai.data.comments import *
from toxicai.data.load import load_comments
rng,end = random.Random(int(sys.argv[1])),time.time()+4
while time.time()<end:
    c = load_comments(sys.argv[2])
    assert len(c)==2000 and c['text'][1998:]==['a comment','b'] and list(c.labels)==['toxic'], c
    how = rng.random()
    if how<.2: clear_cache()
    elif how<.4:
        for o in [*cached_files()][:1]:
            if o.suffix!='.part' and o.exists(): open(o, 'wb').close() if o.suffix=='.json' else o.unlink(missing_ok=True)
"""

@pytest.mark.slow
def test_processes_on_one_cache(tmp_path):
    "Two read and write the same table while both clear and damage it"
    (tmp_path/'a.csv').write_text('text,toxic\n'+'a comment,1\nb,0\n'*1000)
    env = {**os.environ, 'HF_DATASETS_CACHE':str(tmp_path/'cache')}
    jobs = [subprocess.Popen([sys.executable, '-W', 'ignore', '-c', together, str(i), str(tmp_path/'a.csv')], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for i in range(2)]
    said = [o.communicate()[1] for o in jobs]
    assert not any(o.returncode for o in jobs), said

def test_names_of_columns_on_a_terminal(tmp_path):
    "Shown as escapes, in one line each"
    odd = 'no\x1b]0;x\x07te\u202e'
    df = pd.DataFrame({'text':['a','b'], 'toxic':[0,1], odd:['x','y'], 'two\nlines':['x','y']})
    c = load_comments(df)
    assert not set(repr(c))&{'\x1b','\x07','\u202e'} and '\\x1b' in repr(c) and '\x1b' not in c._repr_html_()
    df = df.rename(columns={'toxic':odd, odd:'toxic'}).assign(toxic=[0,1])
    with pytest.raises(ValueError, match=r"class name 'no\\x1b.* holds '\\x1b'"): load_comments(df.assign(**{odd:[0,1]}), label_cols=['toxic',odd])

def test_clear_cache(tmp_path, monkeypatch):
    "Tables and facts go, other data sets stay, and tables come back"
    monkeypatch.setattr(hf.config, 'HF_DATASETS_CACHE', tmp_path/'cache')
    assert clear_cache()==0
    write(tmp_path/'a.csv', 'csv')
    check(load_comments(tmp_path/'a.csv'))
    (tmp_path/'cache/other.arrow').write_bytes(b'x')
    size = sum(o.stat().st_size for o in cache_folder().iterdir())
    assert clear_cache()==size>0 and not [*cache_folder().iterdir()] and (tmp_path/'cache/other.arrow').exists()
    check(load_comments(tmp_path/'a.csv'))

def test_cache(tmp_path):
    write(tmp_path/'a.csv', 'csv')
    one,two = load_comments(tmp_path/'a.csv'),load_comments(tmp_path/'a.csv')
    assert one.data.cache_files==two.data.cache_files and one.report==two.report and one.labels==two.labels
    assert load_comments(tmp_path/'a.csv', keep=[]).data.column_names==['text','toxic','insult']
    (tmp_path/'a.csv').write_text('text,toxic\nnew,1\nold,0\n')
    assert load_comments(tmp_path/'a.csv')['text'][:]==['new','old']

def test_failure_leaves_nothing(tmp_path):
    (tmp_path/'a.jsonl').write_text('{"text":"a","toxic":0}\n{"toxic":1}\n')
    with pytest.raises(ValueError, match='no text in'): load_comments(tmp_path/'a.jsonl')
    assert not [*Path(hf.config.HF_DATASETS_CACHE).rglob('*.*')]

# Splits by expression

@pytest.mark.parametrize('split', ['train','test','train[:5%]','train[10:20]','train[-5:]','test[50%:]','train[:3]+test[:2]','all'])
def test_slices(split):
    "As `datasets` understands them"
    ds = hf.DatasetDict(train=hf.Dataset.from_dict(dict(text=[f't{i}' for i in range(200)], toxic=[0,1]*100)), test=hf.Dataset.from_dict(dict(text=[f'v{i}' for i in range(40)], toxic=[0,1]*20)))
    found = load_comments(ds, split=split)['text'][:]
    want = {'train':lambda t,v: t, 'test':lambda t,v: v, 'train[:5%]':lambda t,v: t[:10], 'train[10:20]':lambda t,v: t[10:20], 'train[-5:]':lambda t,v: t[-5:],
            'test[50%:]':lambda t,v: v[20:], 'train[:3]+test[:2]':lambda t,v: t[:3]+v[:2], 'all':lambda t,v: t+v}[split]
    assert found==want(ds['train']['text'][:], ds['test']['text'][:])

def numbered(*names): return load_comments(pd.DataFrame(dict(text=list('abcdef'), toxic=[0,1]*3, split=[names[i%len(names)] for i in range(6)])))

@pytest.mark.parametrize('names, split, want', [
    (['train_1','train_2','test_1'], 'train', 'adbe'), (['train_1','train_2','test_1'], 'test', 'cf'), (['train_1','train_2','test_1'], 'train_2', 'be'),
    (['train_1','train_2','test_1'], 'test[:50%]', 'c'), (['train-00','dev-00'], 'train-00', 'ace'), (['train-00','dev-00'], 'validation[1:]', 'df'),
    (['train-00','dev-00'], 'dev-00[:1]+train-00[:1]', 'ba'), (['train 1','dev 1'], 'train 1[:2]', 'ac'), (['train-00','dev-00'], 'all', 'abcdef')])
def test_numbered_splits(names, split, want): assert ''.join(numbered(*names).part(split)['text'][:])==want

def test_slice_of_several():
    with pytest.raises(ValueError, match=r"'train' stands for \['train_1', 'train_2'\]"): numbered('train_1','train_2').part('train[:1]')
    with pytest.raises(ValueError, match="no split 'constraint'"): numbered('train_1','train_2').part('constraint')

@pytest.mark.parametrize('word, side', [('train',0), ('Training',0), ('train_1',0), ('train-00',0), ('0',0), ('FALSE',0), ('valid',1), ('dev_2',1), ('val 3',1), ('True',1), ('1.0',1)])
def test_column_split_words(word, side):
    res = column_split(pd.Series(['train',word,'dev']))
    assert res==([0,1],[2]) if side==0 else res==([0],[1,2])

@pytest.mark.parametrize('word', ['test','test_2','not valid','constraint','2','train dev'])
def test_column_split_odd_words(word):
    with pytest.raises(ValueError, match=f"holds \\['{word}'\\].*training, dev.*'train-00'"): column_split(pd.Series(['train',word,'dev'], name='s'))

@pytest.mark.parametrize('split', ['nope','train[','train[:5%','train-00[','[:5%]','train[a:b]','',' '])
def test_bad_slices(split):
    with pytest.raises(ValueError, match='expected|no split'): load_comments(frame(), split=split)

# Kinds of labels

kinds = {
    'names': (dict(label=['rude','kind','rude']), 'single', ['kind','rude']),
    'numbers': (dict(label=[2,10,1]), 'single', ['1','2','10']),
    'floats from a gap': (dict(label=[2.,nan,1.]), 'single', ['1','2']),
    'flags called label': (dict(label=[True,False,True]), 'multi', ['label']), # one column of flags is one class, whatever its name
    'flags as classes': (dict(label=[True,False,True]), 'single', ['false','true'], dict(kind='single')),
    'one class': (dict(toxic=[1,0,1]), 'multi', ['toxic']), 'words': (dict(toxic=['yes','No',None]), 'multi', ['toxic']),
    'flags': (dict(toxic=[True,False,True]), 'multi', ['toxic']), 'one share': (dict(share=[0.2,0.,1.]), 'soft', ['share']),
    'several': (dict(toxic=[1,0,1], insult=[0,0,1]), 'multi', ['toxic','insult']), 'shares': (dict(toxic=[1,0,.3], insult=[0,0,1]), 'soft', ['toxic','insult']),
    'tags': (dict(tags=[['b'],[],['a','b']]), 'multi', ['a','b']), 'a class called none': (dict(label=['none','sexism','none']), 'single', ['none','sexism'])}

@pytest.mark.parametrize('name', kinds)
def test_kinds(name):
    cols,kind,names,*how = kinds[name]
    c = load_comments(pd.DataFrame(dict(text=list('abc'), **cols)), 'text', list(cols), **dict(*how))
    assert c.labels==LabelSet(names, kind)
    assert c.label_cols==(list(cols) if kind=='single' else names)
    assert set(c.counts())==set(names)

def test_ordinal():
    df = pd.DataFrame(dict(text=list('abc'), level=[0,2,1]))
    assert load_comments(df, label_cols='level', kind='ordinal').labels==LabelSet(list('012'), 'ordinal')
    c = load_comments(df, label_cols='level', kind='ordinal', classes=['0','1','2','3'])
    assert c.labels.kind=='ordinal' and c['level'][:]==['0','2','1'] and c.counts()['3']==(0,3)

def test_given_classes():
    tuned = LabelSet(['rude','kind'], 'single', 0.3)
    c = load_comments(pd.DataFrame(dict(text=list('ab'), label=['rude','kind'])), classes=tuned)
    assert c.labels==tuned
    with pytest.raises(ValueError, match=r"\['kind'\].*not among the classes"): load_comments(pd.DataFrame(dict(text=list('ab'), label=['rude','kind'])), classes=['rude','mean'])

def test_no_labels():
    c = load_comments(pd.DataFrame(dict(text=list('ab'))), label_cols=[])
    assert c.labels is None and c.label_cols==[] and c.counts()=={} and 'none' in repr(c)

def test_pair():
    c = load_comments(pd.DataFrame(dict(sentence1=['a'], sentence2=['b'], toxic=[1])))
    assert c.text_cols==['sentence1','sentence2']

def test_said(capsys):
    c = load_comments(frame())
    assert "text in 'text'" in capsys.readouterr().out and 'recognised' in repr(c)
    load_comments(frame(), 'text', ['toxic'])
    assert capsys.readouterr().out==''

def test_looks():
    c = load_comments(pd.DataFrame(dict(text=['<script>alert(1)</script>','b'*500_000], toxic=[1,0])))
    assert '<script>' not in c._repr_html_() and len(c._repr_html_())<most_unfolded+5000 and '1 of 2' in repr(c)
    assert len(c[:1])==1 and c[0]['toxic']==1. and c.select([1,0])['toxic'][:]==[0.,1.] and len(c[np.array([True,False])])==1

# Bad input: what is in the file or frame, the error and what it says

def in_file(name, data):
    def _write(p):
        (p/name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return p/name
    return _write

def half(p):
    frame().to_parquet(p/'a.parquet')
    data = (p/'a.parquet').read_bytes()
    (p/'a.parquet').write_bytes(data[:len(data)//2])
    return p/'a.parquet'

def bad_page(p):
    "A Parquet file with a whole footer and a damaged page"
    pd.DataFrame(dict(text=[f'{i} {i*i}' for i in range(5000)], toxic=[0,1]*2500)).to_parquet(p/'a.parquet')
    data = bytearray((p/'a.parquet').read_bytes())
    data[100:2000] = b'x'*1900
    (p/'a.parquet').write_bytes(bytes(data))
    return p/'a.parquet'

def not_utf8(p):
    buf = pa.py_buffer(b'fineb\xe9')
    arr = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0,4,6], dtype='int32').tobytes()), buf)
    pq.write_table(pa.table({'text':arr, 'toxic':[0,1]}), p/'a.parquet')
    return p/'a.parquet'

def two_formats(p):
    in_file('a.csv', 'text,toxic\na,0\n')(p),in_file('b.jsonl', '{"text":"a","toxic":0}')(p)
    return p

def two_schemas(p):
    in_file('a.csv', 'text,toxic\na,0\n')(p),in_file('b.csv', 'text,label\na,0\n')(p)
    return p

def no_table(p):
    (p/'notes.md').write_text('x')
    return p

def of(**kwargs): return lambda p: pd.DataFrame(kwargs)

bad = {
    'empty file': (in_file('a.csv', ''), ValueError, "'a.csv' is empty"), 'blank file': (in_file('a.csv', '\n\n'), ValueError, "'a.csv' is empty"),
    'empty json': (in_file('a.jsonl', ''), ValueError, 'is empty'), 'empty parquet': (in_file('a.parquet', ''), ValueError, 'is empty'),
    'header only': (in_file('a.csv', 'text,toxic\n'), ValueError, 'has no rows'), 'no file': (lambda p: p/'a.csv', FileNotFoundError, 'neither a file nor a folder'),
    'empty folder': (lambda p: p, FileNotFoundError, 'is empty'), 'folder without tables': (no_table, ValueError, "only ['notes.md']"), 'two formats': (two_formats, ValueError, "['csv', 'json']"),
    'files with other columns': (two_schemas, ValueError, "'b.csv' has the columns ['text', 'label'], but"), 'unknown name': (lambda p: 'jigsow', FileNotFoundError, "did you mean 'jigsaw'"),
    'latin-1': (in_file('a.csv', 'text,toxic\nfine,0\ncafé,1\n'.encode('latin-1')), ValueError, "line 3: byte 0xe9", "encoding='cp1252'"),
    'latin-1 json': (in_file('a.jsonl', '{"text":"café","toxic":1}'.encode('latin-1')), ValueError, 'line 1: byte 0xe9'),
    'latin-1 parquet': (not_utf8, ValueError, 'not UTF-8 in row 1 of a.parquet'),
    'utf-16 without a mark': (in_file('a.csv', 'text,toxic\na,0\nb,1\n'.encode('utf-16-le')), ValueError, 'full of NUL', 'utf-16-le'),
    'too many cells': (in_file('a.csv', 'text,toxic\na,0\nwell, well,1\n'), ValueError, 'row 1 has 3', 'well, well,1'),
    'too few cells': (in_file('a.csv', 'text,toxic\na,0\nb\n'), ValueError, 'row 1 has 1'), 'open quote': (in_file('a.csv', 'toxic,text\n0,a\n1,"b\n0,c\n'), ValueError, 'row 1 is never closed'),
    'two columns of one name': (in_file('a.csv', 'text,text,toxic\na,b,0\n'), ValueError, "'text' is there more than once"),
    'two columns of one name in a frame': (lambda p: pd.concat([frame(), frame()[['text']]], axis=1), ValueError, "'text' is there more than once"),
    'zip': (in_file('a.csv', b'PK\x03\x04xxxx'), ValueError, 'zip archive'), 'cut gzip': (in_file('a.csv.gz', gzip.compress(os.urandom(5000).hex().encode())[:2000]), ValueError, 'cannot be unpacked'),
    'cut zstd': (in_file('a.csv.zst', _zstd(os.urandom(5000).hex().encode())[:2000]), ValueError, 'cannot be unpacked'),
    'half a parquet': (half, ValueError, 'no whole Parquet file', 'fetch it again'), 'csv called parquet': (in_file('a.parquet', 'text,toxic\na,0\n'), ValueError, 'no whole Parquet file'),
    'damaged parquet': (bad_page, ValueError, 'is damaged'), 'cut arrow': (in_file('a.arrow', b'ARROW1\0\0xx'), ValueError, 'no whole Arrow file'),
    'long line': (in_file('a.csv', b'text,toxic\na,0\n'+b'x'*(100<<20)+b',1\n'), ValueError, 'more than 8 MiB after row 0'),
    'long json line': (in_file('a.jsonl', b'{"text":"a","toxic":0}\n{"text":"'+b'x'*(100<<20)+b'"}\n'), ValueError, 'line 2 has more than 8 MiB'),
    'cut json line': (in_file('a.jsonl', '{"text":"a","toxic":0}\n{"text":"b","to'), ValueError, 'line 2 is not JSON'), 'json numbers': (in_file('a.jsonl', '1\n2\n'), ValueError, 'line 1 holds a int'),
    'pretty json': (in_file('a.json', '{\n "text": "a"\n}'), ValueError, 'line 1 is not JSON'), 'cut json list': (in_file('a.json', '[{"text":"a"},'), ValueError, 'cut off'),
    'empty json list': (in_file('a.json', ' [ ]\n'), ValueError, "'a.json' has no rows"), 'empty stream': (lambda p: hf.IterableDataset.from_generator(lambda: iter(()), features=hf.Features(text=hf.Value('string'), toxic=hf.Value('int64'))), ValueError, 'the data set has no rows'),
    'stream of nothing': (lambda p: hf.IterableDataset.from_generator(lambda: iter(())), ValueError, 'the data set has no rows'), 'empty reader': (lambda p: arrow()[:0].to_reader(), ValueError, 'the reader has no rows'),
    'no comma': (in_file('a.json', '[{"text":"a"} {"text":"b"}]'), ValueError, "item 1 is not JSON", "',' delimiter"), 'comma before the end': (in_file('a.json', '[{"text":"a"},]'), ValueError, 'item 1 is not JSON'),
    'two lists': (in_file('a.json', '[{"text":"a","toxic":0}]\n[{"text":"b","toxic":0}]'), ValueError, 'goes on after the end'), 'null in a list': (in_file('a.json', '[{"text":"a"},null]'), ValueError, 'item 1 is a NoneType'),
    'long item': (in_file('a.json', b'[{"text":"a"},{"text":"'+b'x'*(20<<20)+b'"}]'), ValueError, 'item 1', 'more than 8 MiB'),
    'two rows in one': (in_file('a.tsv', 'text\ttoxic\n"so\t0\nfool\t1\n"bye\t0\n'), ValueError, "'a.tsv' row 0: the cell 'so", 'hold 3 rows', 'csv.QUOTE_NONE', 'csv.QUOTE_MINIMAL'),
    'json list of numbers': (in_file('a.json', '[1,2]'), ValueError, 'item 0 is a int'), 'nested json': (in_file('a.jsonl', '{"text":{"en":"a","es":"b"},"toxic":0}\n'), TypeError, "struct", "['en', 'es']"),
    'sometimes nested': (in_file('a.jsonl', '{"text":"a","toxic":0}\n{"text":{"en":"a"},"toxic":0}\n'), ValueError, "column 'text' mixes {'en': 'a'}"),
    'two text columns': (of(text=['a'], comment=['b'], toxic=[0]), ValueError, "['text', 'comment'] all look like text", 'text_col='),
    'no text column': (of(words=['a'], toxic=[0]), ValueError, "['words', 'toxic']", 'text_col='), 'two label columns': (of(text=['a'], label=['b'], category=['c']), ValueError, 'label_cols='),
    'no label column': (of(text=['a'], x=[1]), ValueError, 'label_cols=[]'), 'text missing': (of(text=['a',None,'c'], toxic=[0,1,0]), ValueError, 'in row 1 of the frame', 'drop_missing=True'),
    'text is numbers': (lambda p: pd.DataFrame(dict(text=[1,2], toxic=[0,1])), TypeError, "'text' of the frame holds int64"), 'label word': (of(text=list('ab'), toxic=[0,'perhaps']), ValueError, 'label_cols='),
    'number as column name': (lambda p: pd.DataFrame([['a',1]]), TypeError, 'column name 0 is a int'), 'no records': (lambda p: [], TypeError, 'that is empty'), 'a number': (lambda p: 3, TypeError, 'from a int'),
    'ids as labels': (lambda p: pd.DataFrame(dict(text=['a']*1200, label=[f'u{i}' for i in range(1200)])), ValueError, 'more than 1000 different values'),
    'one side': (of(text=list('ab'), label=['x','x']), ValueError, "has only 'x' in 2 rows"), 'no label at all': (of(text=list('ab'), toxic=[None,None]), ValueError, 'no label in 2 rows'),
    'tag is a kept column': (of(text=list('ab'), spam=[1,2], tags=[['spam'],[]]), ValueError, "['spam'] have the names of other columns")}

@pytest.mark.parametrize('name', bad)
def test_bad_input(name, tmp_path):
    make,err,*says = bad[name]
    with pytest.raises(err) as e: load_comments(make(tmp_path))
    for o in says: assert o in str(e.value)

named = {
    'text is numbers': (dict(text=[1,2], toxic=[0,1]), dict(text_col='text'), TypeError, "'text' of the frame holds int64"),
    'a word among flags': (dict(text=list('abc'), toxic=[0,1,'perhaps']), dict(label_cols=['toxic','toxic2']), KeyError, "did you mean 'toxic'"),
    'a word among several': (dict(text=list('abc'), toxic=[0,1,'perhaps'], insult=[0,1,0]), dict(label_cols=['toxic','insult']), ValueError, "'toxic' holds 'perhaps' in row 2 of the frame"),
    'numbers and words': (dict(text=list('abc'), label=[0,1,'perhaps']), dict(label_cols='label'), ValueError, "mixes numbers with 'perhaps' (row 2 of the frame)"),
    'below zero': (dict(text=list('ab'), toxic=[-1,1], insult=[0,1]), dict(label_cols=['toxic','insult']), ValueError, 'goes from -1 to 1'),
    'stars': (dict(text=list('ab'), toxic=[5,1], insult=[0,1]), dict(label_cols=['toxic','insult']), ValueError, 'goes from 1 to 5'),
    'missing column': (dict(text=list('ab'), toxic=[0,1]), dict(text_col='txt'), KeyError, "did you mean 'text'"), 'three texts': (dict(text=['a'], b=['b'], c=['c']), dict(text_col=['text','b','c']), ValueError, 'two for text pairs'),
    'text as label': (dict(text=list('ab')), dict(text_col='text', label_cols='text'), ValueError, 'as text and as a label'), 'named twice': (dict(text=list('ab'), toxic=[0,1]), dict(label_cols=['toxic','toxic']), ValueError, 'named more than once'),
    'single of two columns': (dict(text=list('ab'), toxic=[0,1], insult=[1,0]), dict(kind='single'), ValueError, 'needs one label column'), 'unknown kind': (dict(text=list('ab'), toxic=[0,1]), dict(kind='binary'), ValueError, 'expected one of'),
    'unknown keep': (dict(text=list('ab'), toxic=[0,1]), dict(keep=['id']), KeyError, "'id'"), 'lists among flags': (dict(text=list('ab'), toxic=[0,1], tags=[['a'],[]]), dict(label_cols=['toxic','tags']), ValueError, 'holds lists')}

@pytest.mark.parametrize('name', named)
def test_bad_names(name):
    cols,how,err,msg = named[name]
    with pytest.raises(err) as e: load_comments(pd.DataFrame(cols), **how)
    assert msg in str(e.value)

def test_options(tmp_path):
    write(tmp_path/'a.csv', 'csv')
    with pytest.raises(ValueError, match='a name that Python knows'): load_comments(tmp_path/'a.csv', encoding='utf-9')
    with pytest.raises(ValueError, match="delimiter=','"): load_comments(tmp_path/'a.csv', delimiter=';')

# Repairs: what is in the file, what comes out, what is counted

repairs = {
    'byte order mark': ('a.csv', '\ufefftext,toxic\na,0\nb,1\n'.encode(), {}, ['a','b'], {'byte order marks removed':1}),
    'utf-16': ('a.csv', 'text,toxic\né,0\nb,1\n'.encode('utf-16'), {}, ['é','b'], {'files read as UTF-16, as their byte order mark says':1}),
    'semicolons': ('a.csv', b'text;toxic\na, b;0\nc;1\n', {}, ['a, b','c'], {"files read with the delimiter ';'":1}),
    'tabs in a csv': ('a.csv', b'text\ttoxic\na\t0\nb\t1\n', {}, ['a','b'], {"files read with the delimiter '\\t'":1}),
    'commas in a tsv': ('a.tsv', b'text,toxic\na,0\nb,1\n', {}, ['a','b'], {"files read with the delimiter ','":1}),
    'nul': ('a.csv', b'text,toxic\na\0b,0\nc,1\n', {}, ['ab','c'], {'NUL characters removed':1}),
    'latin-1 said': ('a.csv', 'text,toxic\né,0\nb,1\n'.encode('latin-1'), dict(encoding='latin-1'), ['é','b'], {}),
    'windows line ends': ('a.csv', b'text,toxic\r\na,0\r\n\r\nb,1\r\n', {}, ['a','b'], {}), 'old mac line ends': ('a.csv', b'text,toxic\ra,0\rb,1\r', {}, ['a','b'], {}),
    'no last line end': ('a.csv', b'text,toxic\na,0\nb,1', {}, ['a','b'], {}), 'an inch sign': ('a.csv', b'text,toxic\na 5" pipe,0\nb,1\n', {}, ['a 5" pipe','b'], {}),
    'mixed labels': ('a.jsonl', b'{"text":"a","toxic":0}\n{"text":"b","toxic":1}\n{"text":"c","toxic":"yes"}\n{"text":"d","toxic":null}\n', {}, list('abcd'),
                     {"'yes' in 'toxic' read as 1":1, "rows without a label in 'toxic'":1, "values of column 'toxic' that are not text read as text, because the column mixes types":2}),
    'words in a csv': ('a.csv', b'text,toxic\na,yes\nb,NO\nc,N/A\nd,\n', {}, list('abcd'), {"'yes' in 'toxic' read as 1":1, "'no' in 'toxic' read as 0":1, "'n/a' in 'toxic' read as a gap":1, "rows without a label in 'toxic'":2}),
    'half a surrogate': ('a.jsonl', rb'{"text":"a\ud83d","toxic":0}'+b'\n'+rb'{"text":"\ud83d\ude00","toxic":1}', {}, ['a\ufffd','😀'], {"texts of column 'text' with broken surrogate pairs mended":1}),
    'empty text': ('a.csv', b'text,toxic\n,0\nb,1\n', {}, ['','b'], {'texts that are empty':1}),
    'missing text dropped': ('a.jsonl', b'{"text":"a","toxic":0}\n{"toxic":1}\n{"text":"c","toxic":1}\n', dict(drop_missing=True), ['a','c'], {'rows without a text left out':1}),
    'unnamed column': ('a.csv', b',text,toxic\n0,a,0\n1,b,1\n', {}, ['a','b'], {}),
    'a number among texts': ('a.jsonl', b'{"text":"a","toxic":0}\n{"text":5,"toxic":1}\n', {}, ['a','5'], {"values of column 'text' that are not text read as text, because the column mixes types":1})}

@pytest.mark.parametrize('name', repairs)
def test_repairs(name, tmp_path):
    file,data,how,want,report = repairs[name]
    (tmp_path/file).write_bytes(data)
    c = load_comments(tmp_path/file, **how)
    assert c['text'][:]==want and c.report==report
    for k,n in report.items(): assert f'{k}: {n}' in repr(c)

# Quotes that are text

raw = ['"well" done', '"so what', 'say "you fool"', 'so "bye', '"and on', 'no quote', '"', '""', "'x'"]

@pytest.mark.parametrize('first', [True,False])
@pytest.mark.parametrize('ending, sep', [('tsv','\t'), ('csv',','), ('csv',';'), ('csv','|')])
def test_no_quoting(tmp_path, ending, sep, first):
    "As pandas and `csv` read it, whichever column holds the text"
    df = pd.DataFrame(dict(text=raw, toxic=[0,1,0]*3))[['text','toxic'] if first else ['toxic','text']]
    path = tmp_path/f'a.{ending}'
    path.write_text('\n'.join(sep.join(map(str, o)) for o in [list(df.columns), *df.values.tolist()])+'\n')
    c = load_comments(path, quoting=csv.QUOTE_NONE)
    assert c['text'][:]==raw==pd.read_csv(path, sep=sep, quoting=csv.QUOTE_NONE, keep_default_na=False).text.tolist()
    with pytest.raises(ValueError, match='csv.QUOTE_NONE'): load_comments(path)

@pytest.mark.parametrize('ends', ['\n','\r\n','\r'])
@pytest.mark.parametrize('n', [1,2,5])
@pytest.mark.parametrize('k', [0,1,2])
def test_merged_rows(tmp_path, k, n, ends):
    "A quote in any column, over one row or several; the second quote also at the end of its cell"
    rows = [[f'a{i}', f'b{i%2}', f'c{i%2}'] for i in range(20)]
    rows[3][k],rows[3+n][k] = '"'+rows[3][k],'"'+rows[3+n][k] if n<5 else rows[3+n][k]+'"'
    (tmp_path/'a.csv').write_bytes(ends.join(','.join(o) for o in [['text','label','more'], *rows, []]).encode())
    with pytest.raises(ValueError, match=f"row 3: the cell '{rows[3][k][1:]}.*hold {n+1} rows"): load_comments(tmp_path/'a.csv')
    for quoting,m in ((csv.QUOTE_MINIMAL, 20-n), (csv.QUOTE_NONE, 20)):
        assert len(load_comments(tmp_path/'a.csv', quoting=quoting, label_cols=[]))==m # a label may be merged too

@pytest.mark.parametrize('text', ['Well, hello\nyou', 'a,\nb', '1,000\nor more', 'one\n\ntwo, three', 'a, 0\nb', '\n,0', 'x\n0,1,0'])
def test_line_ends_and_delimiters(tmp_path, text):
    "Comments of several lines with commas are no rows"
    pd.DataFrame(dict(text=[text,'b','c',''], toxic=[0,1,None,0])).to_csv(tmp_path/'a.csv', index=False)
    assert load_comments(tmp_path/'a.csv')['text'][0]==text

def test_quoting_and_cache(tmp_path):
    "The choice is part of the key, and other constants are refused"
    (tmp_path/'a.csv').write_text('text,toxic\n"a",0\nb,1\n')
    assert load_comments(tmp_path/'a.csv')['text'][0]=='a' and load_comments(tmp_path/'a.csv', quoting=csv.QUOTE_NONE)['text'][0]=='"a"'
    with pytest.raises(ValueError, match='`quoting` is 2: expected `csv.QUOTE_MINIMAL`'): load_comments(tmp_path/'a.csv', quoting=csv.QUOTE_NONNUMERIC)
    with pytest.raises(ValueError, match="leave out \\['quoting'\\]"): load_comments('davidson', quoting=csv.QUOTE_NONE)

# JSON lists

@pytest.mark.parametrize('how', [dict(), dict(indent=1), dict(separators=(',',':')), dict(ensure_ascii=False)])
@pytest.mark.parametrize('encoding', ['utf-8','utf-8-sig','utf-16'])
def test_long_json_list(tmp_path, how, encoding):
    "A list of any length, in one line or several, cut into pieces anywhere"
    rows = [dict(text=f'{i} ü😀" , ] [ \\ '+'x'*(i%700), toxic=i%2) for i in range(30_000)]
    path = tmp_path/'a.json'
    path.write_bytes(('\n '+json.dumps(rows, **how)+' \n').encode(encoding))
    assert path.stat().st_size>max_line
    c = load_comments(path)
    assert c['text'][:]==[o['text'] for o in rows] and c['toxic'][:]==[float(o['toxic']) for o in rows]

def test_memory_of_json_list(tmp_path):
    "A list is never in memory as a whole"
    import tracemalloc
    from toxicai.data.rows import file_rows
    (tmp_path/'a.json').write_bytes(b'['+b','.join(b'{"text":"'+b'x'*1000+b'","toxic":1}' for _ in range(60_000))+b']')
    rows = file_rows(tmp_path/'a.json')
    tracemalloc.start()
    n = sum(o.num_rows for _,_,o in rows.read(['toxic']))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n==60_000 and peak<40<<20

# Columns whose values do not go together

mixed = [dict(text='a', toxic=0, meta=dict(x=1)), dict(text='b', toxic=1, meta='none'), dict(text='c', toxic=0, meta=[1])]

@pytest.mark.parametrize('make', [lambda p: in_file('a.jsonl', '\n'.join(map(json.dumps, mixed)))(p), lambda p: in_file('a.json', json.dumps(mixed))(p), lambda p: mixed, lambda p: pd.DataFrame(mixed)])
def test_mixed_column(tmp_path, make):
    "An error where it is wanted, none where it is not"
    source = make(tmp_path)
    with pytest.raises(ValueError, match=r"column 'meta' mixes .* leave the column out with `keep=\[...\]`"): load_comments(source)
    c = load_comments(source, keep=[])
    assert c['text'][:]==list('abc') and c.data.column_names==['text','toxic'] and c.report=={}

def test_mixed_label_or_text(tmp_path):
    for o in ('text','toxic'):
        rows = [{**r, o:r['meta']} for r in mixed]
        with pytest.raises(ValueError, match=f"column '{o}' mixes"): load_comments(rows, 'text', 'toxic', keep=[])
    with pytest.raises(ValueError, match="column 'meta' mixes"): load_comments([dict(meta=o['meta']) for o in mixed], 'meta', [])

def test_late_key(tmp_path):
    rows = [dict(text=str(i), toxic=i%2) for i in range(batch_rows+5)]
    rows[-1]['late'] = 1
    (tmp_path/'a.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    c = load_comments(tmp_path/'a.jsonl')
    assert len(c)==len(rows) and c.report=={f"values left out, because their key 'late' is not in the first {batch_rows:,} rows":1}

def test_late_rows(tmp_path):
    "Rows far into a file are checked and numbered like the first"
    n = 3*batch_rows
    df = pd.DataFrame(dict(text=[f'comment {i}' for i in range(n)], toxic=['0','1']*(n//2), insult='0'))
    df.loc[n-7,'toxic'] = 'perhaps'
    df.to_csv(tmp_path/'a.csv', index=False),df.to_parquet(tmp_path/'a.parquet'),df.to_json(tmp_path/'a.jsonl', orient='records', lines=True)
    for o in ('csv','parquet','jsonl'):
        with pytest.raises(ValueError, match=f"'perhaps' in row {n-7} of a.{o}"): load_comments(tmp_path/f'a.{o}', label_cols=['toxic','insult'])

def test_type_changes_late(tmp_path):
    n = batch_rows+5
    rows = [dict(text=f'c{i}', toxic=i%2, more=i) for i in range(n)]
    rows[-1]['more'] = 'many'
    (tmp_path/'a.jsonl').write_text('\n'.join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="column 'more' holds string from row 10000"): load_comments(tmp_path/'a.jsonl')
    assert len(load_comments(tmp_path/'a.jsonl', keep=[]))==n

# Public corpora, in the files that TOXICAI_DATA names

here = [o for o in known_corpora if os.environ.get('TOXICAI_DATA') and catalog().here[o]]

@pytest.mark.skipif(not here, reason='TOXICAI_DATA does not name a folder with corpora')
@pytest.mark.parametrize('name', here)
def test_local_corpora(name):
    "Every row of the file is there, with the label that the file gives it"
    c,corpus = load_comments(name),known_corpora[name]
    raw = pd.read_parquet(Path(os.environ['TOXICAI_DATA'])/catalog().here[name])
    if name!='paradetox': assert len(c)==len(raw)
    else: assert len(c)==len(raw)+raw.filter(like='neutral').notna().sum().sum() and c.to_frame().toxic.sum()==len(raw)
    assert c.text_cols==list(corpus.text) and (c.labels is None)==(corpus.kind=='spans')
    if c.labels is not None: assert set(c.labels)<=set(corpus.classes or corpus.labels) and all(n for n,_ in c.counts().values())
    if name=='davidson': assert (raw.label.map(dict(enumerate(['hate','offensive','clean'])))==c.to_frame().label).all()
    if name=='jigsaw': np.testing.assert_array_equal(c.to_frame()[list(c.labels)], raw[list(c.labels)].astype('float32'))

@pytest.mark.skipif(not here, reason='TOXICAI_DATA does not name a folder with corpora')
@pytest.mark.parametrize('name', [o.stem for o in sorted(Path(os.environ.get('TOXICAI_DATA', '/nowhere')).glob('*.parquet'))])
def test_files_by_path(name):
    "The same files without their names: recognised, or refused with what to pass"
    path = Path(os.environ['TOXICAI_DATA'])/f'{name}.parquet'
    try: c = load_comments(path)
    except ValueError as e: assert any(o in str(e) for o in ('label_cols=', 'text_col=', 'list all `classes`')) # several labels in one cell: cad_reddit
    else: assert len(c)==pq.ParquetFile(path).metadata.num_rows and c.data.cache_files and c.labels is not None

# Public corpora, as they come from the Hub

def ds(**cols): return hf.Dataset.from_dict(cols)
hub = {
    'davidson': (dict(train=ds(tweet=list('abc'), **{'class':[0,1,2]}, count=[3]*3)), dict(label=['hate','offensive','clean'])),
    'jigsaw': (dict(train=ds(id=['1','2'], comment_text=['a','b'], toxic=[0,1], severe_toxic=[0,1], obscene=[0,1], threat=[0,1], insult=[0,1], identity_hate=[0,1]),
                    test=ds(id=['3'], comment_text=['c'], toxic=[-1], severe_toxic=[-1], obscene=[-1], threat=[-1], insult=[-1], identity_hate=[-1])), dict(toxic=[0.,1.,None])),
    'civil_comments': (dict(train=ds(text=list('ab'), toxicity=[.1,.9], severe_toxicity=[0.,0.], obscene=[0.,.2], threat=[0.,0.], insult=[0.,.5], identity_attack=[0.,.3], sexual_explicit=[0.,0.])),
                       dict(toxic=[.1,.9], identity_hate=[0.,.3])),
    'hatexplain': (dict(train=ds(post_tokens=[['a','b'],['c'],['d']], annotators=[[dict(label=0),dict(label=0),dict(label=1)],[dict(label=1)]*3,[dict(label=0),dict(label=1),dict(label=2)]], id=list('xyz'))),
                   dict(text=['a b','c','d'], label=['hate','clean',None])),
    'olid': (dict(train=ds(tweet=['a','b'], subtask_a=['OFF','NOT']), test=ds(tweet=['c'], subtask_a=['NOT'])), dict(offensive=[1.,0.,0.])),
    'hateval': (dict(train=ds(text=['a','b'], label=[1,0])), dict(hate=[1.,0.])), 'offendes': (dict(train=ds(comment=['a','b'], label=['NO','OFP'])), dict(label=['clean','offensive_person'])),
    'toxic_spans': (dict(train=ds(text_of_post=['you fool'], position=['[4, 5, 6, 7]'])), dict(text=['you fool'], spans=[[4,5,6,7]])),
    'paradetox': (dict(train=ds(en_toxic_comment=['x','x'], en_neutral_comment=['y','z'])), dict(text=['x','y','z'], toxic=[1.,0.,0.], pair=[0,0,0])),
    'profanity_check': (dict(train=ds(is_offensive=[1,0], text=['a','b'])), dict(toxic=[1.,0.])),
    'imdb': (dict(train=ds(text=['a','b'], label=[0,1]), unsupervised=ds(text=['c'], label=[-1])), dict(label=['negative','positive',None])),
    'sst2': (dict(train=ds(idx=[0,1], sentence=['a','b'], label=[0,1]), test=ds(idx=[0], sentence=['c'], label=[-1])), dict(text=['a','b','c'], label=['negative','positive',None])),
    'mrpc': (dict(train=ds(sentence1=['a','b'], sentence2=['c','d'], label=[0,1], idx=[0,1])), dict(label=['different','same']))}
hub['mrpc'][0]['train'] = hub['mrpc'][0]['train'].cast_column('label', hf.ClassLabel(names=['not_equivalent','equivalent']))
hub['hateval'] = (dict(train=ds(text=['a','b'], label=[1,0]).cast_column('label', hf.ClassLabel(names=['non-hate','hate']))), dict(hate=[1.,0.]))

@pytest.mark.parametrize('name', hub)
def test_hub(name, monkeypatch):
    parts,want = hub[name]
    monkeypatch.delenv('TOXICAI_DATA', raising=False)
    monkeypatch.setattr(hf, 'load_dataset', lambda *args, **kwargs: hf.DatasetDict(parts))
    df = load_comments(name).to_frame()
    for k,v in want.items(): assert [None if o is None or o is pd.NA or (isinstance(o, float) and o!=o) else list(o) if isinstance(o, np.ndarray) else pytest.approx(o) if isinstance(o, float) else o for o in df[k]]==v

def test_all_named():
    "The corpora that the library promises, each with terms, source and a layout for what the Hub has"
    asked = 'jigsaw civil_comments davidson hatexplain olid hateval offendes toxic_spans paradetox profanity_check imdb sst2 mrpc'.split()
    assert set(asked)<=set(known_corpora) and set(asked)==set(hub)
    for o in asked:
        c = known_corpora[o]
        assert c.hub and c.licence and c.citation and c.url and c.rows
        for l in c.labels+c.classes: assert canonical(l)==l or l in ('label','toxicity_level','0','1','2','3')

def test_put_there(tmp_path, monkeypatch):
    "What the error says to do works"
    monkeypatch.setenv('TOXICAI_DATA', str(tmp_path))
    with pytest.raises(FileNotFoundError) as e: load_comments('olid')
    for o in ('olid.csv', str(tmp_path), "['tweet', 'subtask_a']"): assert o in str(e.value)
    (tmp_path/'olid').mkdir()
    for k in ('train','test'): (tmp_path/f'olid/{k}.tsv').write_text('id\ttweet\tsubtask_a\n1\ta\tOFF\n2\tb\tNOT\n')
    c = load_comments('olid', split='test')
    assert c.name=='olid' and c['offensive'][:]==[1.,0.] and catalog().here['olid']=='olid'

def test_other_value(tmp_path, monkeypatch):
    monkeypatch.setenv('TOXICAI_DATA', str(tmp_path))
    (tmp_path/'olid.csv').write_text('tweet,subtask_a\na,OFF\nb,MAYBE\n')
    with pytest.raises(ValueError, match="'MAYBE' in row 1"): load_comments('olid')

# Memory

@pytest.mark.slow
def test_memory(tmp_path):
    "Two million comments: neither reading nor using them takes their size in memory"
    n,path = 2_000_000,tmp_path/'big.parquet'
    schema = pa.schema([('text', pa.string()), ('toxic', pa.int8()), ('insult', pa.float32())])
    with pq.ParquetWriter(path, schema, compression='zstd') as w:
        for i in range(0, n, 50_000): w.write_batch(pa.record_batch([pa.array([f'comment number {j} is written here, and it goes on for a while {j*j}' for j in range(i, i+50_000)]),
            pa.array([j%2 for j in range(50_000)], pa.int8()), pa.array([None if j%3 else 0.5 for j in range(50_000)], pa.float32())], schema=schema))
    code = f'''
import os,psutil,pyarrow,threading,time
from toxicai.data.load import load_comments
def private(): return int(next(o for o in open('/proc/self/status') if o.startswith('RssAnon')).split()[1])*1024
base = peak = private()
done = False
def watch():
    global peak
    while not done: peak = max(peak, private()); time.sleep(.01)
t = threading.Thread(target=watch); t.start()
c = load_comments({str(path)!r})
half = c.part('train[50%:]')
n = half.counts()['toxic'][1]
done = True; t.join()
pyarrow.default_memory_pool().release_unused() # what Arrow's allocator keeps for the next table is in nobody's use
print(len(c), len(half), n, c.data.data.nbytes, peak-base, private()-base)
'''
    env = {**os.environ, 'HF_DATASETS_CACHE':str(tmp_path/'cache')}
    if not Path('/proc/self/status').exists(): pytest.skip('private memory is read from /proc')
    res = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    assert res.returncode==0, res.stderr
    rows,half,known,size,peak,stays = map(int, res.stdout.splitlines()[-1].split())
    print(f'{rows:,} rows, {size>>20} MiB of Arrow: peak {peak>>20} MiB, after {stays>>20} MiB of private memory')
    assert (rows,half,known)==(n,n//2,n//2)
    assert size>150<<20 and peak<size/2 and stays<size/4

def test_long_first_row(tmp_path):
    "The first row is there although it does not end within the first block that is read"
    path = tmp_path/'a.csv'
    path.write_text('text,label\n'+'word '*30_000+',rude\nshort,kind\n')
    assert load_comments(path, text_col='text', label_cols='label').to_frame().label.tolist()==['rude','kind']

def test_surrogates_in_lists(tmp_path):
    path = tmp_path/'a.jsonl'
    path.write_text('{"text": "a", "label": "x", "tokens": ["\\ud83d"]}\n{"text": "b", "label": "y", "tokens": ["b"]}\n')
    assert load_comments(path, text_col='text', label_cols='label').to_frame().text.tolist()==['a','b']

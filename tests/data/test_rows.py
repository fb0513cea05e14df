"Formats and corpora that are added from outside, the files that the cache shares between processes, and how rows come out of a source"
import bz2,gzip,io,json,lzma,multiprocessing,os,re,zipfile
from pathlib import Path

import datasets as hf
import numpy as np,pandas as pd,pyarrow as pa,pyarrow.parquet as pq,pytest
from toxicai.data.corpora import *
from toxicai.data.load import *
from toxicai.data.rows import *
from toxicai.streams import *
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

# Files of strangers

def refused(path, match, **kwargs):
    "The promised error, which names the file, in printable characters"
    with pytest.raises(ValueError) as e: load_comments(path, **kwargs).to_frame()
    assert type(e.value) is ValueError and re.search(match, str(e.value)), str(e.value)
    assert Path(path).name in str(e.value) and str(e.value).isprintable() and len(str(e.value))<3000
    return str(e.value)

def packed(name, data): return {'.gz':gzip.compress, '.bz2':bz2.compress, '.xz':lzma.compress, '.zst':lambda o: pa.compress(o, codec='zstd', asbytes=True)}[Path(name).suffix](data)

@pytest.mark.parametrize('name', ['a.csv.gz','a.jsonl.bz2','a.tsv.xz','a.csv.zst','a.parquet.gz','a.arrow.xz'])
def test_bombs(name, tmp_path, monkeypatch):
    "What unpacks to more than a hundred times its size stops early; the same below the free bytes is read to its end"
    head,row = (b'text\ttoxic\n',b'aaaa\t1\n') if '.tsv' in name else (b'text,toxic\n',b'aaaa,1\n')
    if '.jsonl' in name: head,row = b'',b'{"text":"aaaa","toxic":1}\n'
    (tmp_path/name).write_bytes(packed(name, head+row*300_000))
    monkeypatch.setattr('toxicai.streams.free_bytes', 1<<20)
    refused(tmp_path/name, 'fill the disk; unpack it')

def test_bombs_in_tables(tmp_path, monkeypatch):
    "A member of a zip archive; a Parquet and an Arrow file of one long text over and over"
    monkeypatch.setattr('toxicai.streams.free_bytes', 1<<20)
    with zipfile.ZipFile(tmp_path/'a.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('a.csv', 'text,toxic\n'+'aaaa,1\n'*2_000_000)
    with pytest.raises(ValueError, match='fill the disk'): load_comments(tmp_path/'a.zip')
    table = pa.table(dict(text=['x'*500]*100_000, toxic=[1]*100_000))
    pq.write_table(table, tmp_path/'a.parquet')
    refused(tmp_path/'a.parquet', 'fill the disk')
    with pa.ipc.new_file(str(tmp_path/'b.arrow'), table.schema, options=pa.ipc.IpcWriteOptions(compression='zstd')) as w: w.write_table(table)
    refused(tmp_path/'b.arrow', 'fill the disk')
    monkeypatch.undo()
    assert len(list(open_rows(tmp_path/'a.parquet').read()))==10

def test_texts_named_many_times(tmp_path):
    "A text of a megabyte that two thousand rows name takes no two gigabytes"
    table = pa.table(dict(text=pa.DictionaryArray.from_arrays(pa.array([0]*2000, pa.int32()), ['x'*2**20]), toxic=[0,1]*1000))
    with pa.ipc.new_file(str(tmp_path/'a.arrow'), table.schema) as w: w.write_table(table)
    refused(tmp_path/'a.arrow', 'more than 1,024 MiB from row 0')

wide = {
    'long header': ('a.csv', ','.join(f'c{i}' for i in range(30_000))+'\n'+'x,'*29_999+'x\n', 'first line .* KiB'),
    'one long line': ('a.csv', 'x'*200_000, 'first line .* KiB'), 'many columns': ('a.csv', ','.join(f'c{i}' for i in range(3000))+'\n'+'x,'*2999+'x\n', '3,000 columns'),
    'many keys': ('a.jsonl', json.dumps({f'k{i}':1 for i in range(100_000)}), '100,000 columns'), 'keys of all rows': ('a.json', json.dumps([{f'{i}_{j}':1 for j in range(300)} for i in range(30)]), 'up to row 6,'),
    'late keys': ('a.jsonl', '{"text":"a","toxic":1}\n'*10_001+json.dumps({'text':'a', 'toxic':0, **{f'k{i}':1 for i in range(5000)}}), 'up to row 10001,'),
    'nested line': ('a.jsonl', '{"text":"a","toxic":1}\n{"text":'+'['*100_000, 'line 2 is not JSON'), 'nested item': ('a.json', '[{"text":"a"},'+'{"a":'*100_000, 'item 1 is nested'),
    'twice': ('a.csv', ','.join(['c']*2000)+'\n'+','*1999+'\n', 'more than once .* 1,950 more'), 'escapes': ('a.csv', 'te\x1b[2Jxt,b\na\n', 'cells of the header')}

@pytest.mark.parametrize('name', wide)
def test_wide_and_deep(name, tmp_path):
    file,text,match = wide[name]
    (tmp_path/file).write_text(text)
    refused(tmp_path/file, match)

@pytest.mark.parametrize('depth', [33,70,500])
def test_deep_columns(depth, tmp_path):
    "Refused where they are asked for, and no hindrance where they are left out"
    (tmp_path/'a.jsonl').write_text(''.join('{"text":"a","toxic":%d,"deep":%s1%s}\n' % (i%2, '['*depth, ']'*depth) for i in range(4)))
    with pytest.raises(ValueError, match='deep'): load_comments(tmp_path/'a.jsonl')
    assert len(load_comments(tmp_path/'a.jsonl', keep=[]))==4

def stranger_files():
    df = pd.DataFrame(dict(text=[f'comment {i}, "so"\nit is' for i in range(30)], toxic=[i%2 for i in range(30)]))
    table = pa.Table.from_pandas(df, preserve_index=False)
    def ipc(f, new):
        with new(f, table.schema) as w: w.write_table(table)
    def made(write): return (write(f := io.BytesIO()),f.getvalue())[1]
    plain = df.to_csv(index=False).encode()
    return {'a.csv':plain, 'a.jsonl':df.to_json(orient='records', lines=True).encode(), 'a.json':df.to_json(orient='records').encode(), 'a.parquet':made(lambda f: pq.write_table(table, f)),
            'a.arrow':made(lambda f: ipc(f, pa.ipc.new_file)), 'b.arrow':made(lambda f: ipc(f, pa.ipc.new_stream)), 'a.csv.gz':gzip.compress(plain), 'a.csv.bz2':bz2.compress(plain), 'a.csv.xz':lzma.compress(plain)}

@pytest.mark.parametrize('name', stranger_files())
def test_damage(name, tmp_path):
    "Cuts and flipped bits: comments, or an error that names the file"
    data,rng,path = stranger_files()[name],np.random.default_rng(0),tmp_path/name
    for _ in range(40):
        bad = bytearray(data[:int(rng.integers(len(data)))] if rng.random()<.4 else data)
        for at in rng.integers(len(bad), size=3) if len(bad) else (): bad[at] ^= 1<<int(rng.integers(8))
        path.write_bytes(bytes(bad))
        try: load_comments(path).to_frame()
        except (ValueError,KeyError) as e: assert type(e) in (ValueError,KeyError) and (path.name in str(e) or re.search('class|label', str(e))), repr(e)

def test_saved_set_is_damaged(tmp_path):
    hf.Dataset.from_dict(dict(text=['a','b'], toxic=[0,1])).save_to_disk(str(tmp_path/'set'))
    assert len(load_comments(tmp_path/'set'))==2
    for o in sorted((tmp_path/'set').iterdir()):
        whole = o.read_bytes()
        for bad in (b'', b'[]', b'{"features":"x"}', whole[:len(whole)//2]):
            o.write_bytes(bad)
            with pytest.raises((ValueError,FileNotFoundError)) as e: load_comments(tmp_path/'set')
            assert type(e.value) in (ValueError,FileNotFoundError)
        o.write_bytes(whole)

@pytest.mark.parametrize('name', ['a.csv','a.jsonl','a.parquet','a.arrow'])
def test_swapped_while_read(name, tmp_path):
    "Another file at its name, other content in the same size and time, none, a pipe: nothing is read of two halves"
    data = stranger_files()[name]
    for change in ('other','same','gone','pipe'):
        (path := tmp_path/name).write_bytes(data)
        rows,at = open_rows(path),path.stat()
        if change!='same': path.unlink()
        if change=='pipe': os.mkfifo(path)
        if change in ('other','same'): path.write_bytes(data.replace(b'so', b'no'))
        if change=='same': os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
        with pytest.raises((ValueError,FileNotFoundError), match='changed while|not a plain file|No such file'): list(rows.read())
        path.unlink(missing_ok=True)

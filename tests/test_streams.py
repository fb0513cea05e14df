"Rows in and out: what one library writes is read as another reads it, every row comes back, what is broken says where"
import csv,gzip,io,json,subprocess,sys,zipfile
from datetime import datetime

import numpy as np,pandas as pd,pyarrow as pa,pyarrow.parquet as pq,pytest
from hypothesis import HealthCheck,given,settings,strategies as st
from toxicai.streams import *
from toxicai.data.textfiles import csv_batches

odd_texts = ['you fool, go', 'a "quoted" word', 'two\nlines', 'one\rreturn', 'both\r\nends', 'tab\there', 'C:\\dir\\', 'ñandú 😀', '007', '', ' spaces ', '\u2028', "it's", '\x0b\x1c\x85']
cells = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=12) | st.sampled_from(odd_texts)
tables = st.lists(st.tuples(cells, cells), min_size=1, max_size=12)
quick = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

def all_rows(source, n=3, **kw): return [r for o in read_rows(source, chunk=n, **kw) for r in o.dicts()]

def written(rows, delimiter=',', ends='\n', header=('text','note')):
    f = io.StringIO(newline='')
    w = csv.writer(f, delimiter=delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL)
    w.writerows([header,*rows])
    return f.getvalue().encode()

# Agreement with other readers

@quick
@given(tables, st.sampled_from(',;\t|'), st.sampled_from(['\n','\r\n']))
def test_as_arrow_reads(tmp_path, rows, delimiter, ends):
    "The same cells as the reader for training, which is another library"
    path,how = tmp_path/'a.csv',TextOptions(delimiter=delimiter, quoting=csv.QUOTE_MINIMAL)
    path.write_bytes(written(rows, delimiter, ends))
    ours = all_rows(path, how=how)
    assert ours==[r for _,_,b in csv_batches(None, path, how) for r in b.to_pylist()]==[dict(text=a, note=b) for a,b in rows]

@quick
@given(tables)
def test_as_pandas_reads(rows):
    "What is written is read by pandas, cell for cell"
    block = RowBlock(0, ['text','note'], [dict(text=a, note=b) for a,b in rows])
    back = pd.read_csv(io.BytesIO(csv_bytes(block, RowShape(block.names))), dtype=str, keep_default_na=False)
    assert back.to_dict('records')==block.rows

@quick
@given(tables, st.sampled_from(['csv','tsv.gz','csv.zst','jsonl','jsonl.gz','jsonl.zst','parquet']), st.integers(1, 5))
def test_round_trip(tmp_path, rows, ending, n):
    "Every row, every column, in order, whatever the block"
    block = RowBlock(0, ['text','note'], [dict(text=a, note=b) for a,b in rows])
    path = tmp_path/f'a.{ending}'
    write_rows([block], path)
    how = TextOptions(quoting=csv.QUOTE_MINIMAL)
    assert all_rows(path, n, how=how)==block.rows

values = st.none() | st.booleans() | st.integers(-2**40, 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.lists(st.integers(0, 9), max_size=2)

@quick
@given(st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), min_size=1, max_size=8))
def test_json_keeps_all(rows):
    "Keys of each row, numbers, lists, halves of pairs"
    data = json_bytes(RowBlock(0, [], rows))
    assert [json.loads(o) for o in data.splitlines()]==rows and all_rows(io.BytesIO(data))==rows

def test_parquet_keeps_types(tmp_path):
    table = pa.table(dict(text=['a','b','c'], when=pa.array([0,1,None], pa.timestamp('ns', 'UTC')), tags=[['x'],[],None], n=pa.array([1,2,3], pa.int8())))
    pq.write_table(table, tmp_path/'a.parquet', row_group_size=2)
    blocks = (o.extended(dict(score=NewColumn([.5]*len(o), 'number'))) for o in read_rows(tmp_path/'a.parquet', chunk=2))
    write_rows(blocks, tmp_path/'b.parquet')
    back = pq.read_table(tmp_path/'b.parquet')
    assert back.select(table.column_names)==table and back.schema.field('score').type==pa.float32()

def test_schema_of_json(tmp_path):
    "The first block settles it: a gap there is text, what does not fit later is an error with the rows"
    first,more = RowBlock(0, ['a','b'], [dict(a=1, b=None)]),RowBlock(1, ['a','b'], [dict(a='so', b='x')])
    shape = first_shape(first, row_formats['parquet'])
    assert shape.schema.field('b').type==pa.string()
    with pytest.raises(ValueError, match='rows 1 to 1 have values that do not go together'): parquet_bytes(more, shape)
    with pytest.raises(ValueError, match="row 2 has the key 'c'"): csv_bytes(RowBlock(1, ['a','c'], [dict(a=1),dict(c=1)]), RowShape(['a','b']))

# What is broken

def test_row_far_down(tmp_path):
    "The rows before come first, then the error that names the row"
    (tmp_path/'a.csv').write_text('text,n\n'+''.join(f'so what,{i}\n' for i in range(30_000))+'one,two,three\n'+'fine,1\n'*5)
    seen = 0
    with pytest.raises(ValueError, match='row 30000 has 3'):
        for o in read_rows(tmp_path/'a.csv', chunk=1000): seen += len(o)
    assert seen==30_000

bad = {
    'open quote': ('a.csv', b'n,text\n1,so\n2,"open\n3,you\n', 'a quote in row 1 is never closed'),
    'merged rows': ('a.tsv', b'text\ttoxic\nwell\t0\n"so what\t0\nyou fool\t1\n"bye\t0\n', 'row 1: the cell'),
    'other quotes': ('a.csv', b"text,n\n'a','1'\n'b','2'\n'c','3'\n", 'stands in quotes'), 'escapes': ('a.csv', b'text,n\n"a 5\\" pipe",0\n', 'pass `escapechar='),
    'not UTF-8': ('a.csv', b'text,n\nfine,0\nna\xefve,0\n', 'line 3: byte 0xef'), 'twice': ('a.csv', b'a,a\n1,2\n', 'more than once'),
    'no JSON': ('a.jsonl', b'{"text": "so"}\n{"text": "wh', 'line 2 is not JSON'), 'a list': ('a.jsonl', b'{"a": 1}\n[1]\n', 'line 2 holds a list'),
    'cut gzip': ('a.csv.gz', gzip.compress(b'text,n\n'+bytes(range(65, 90))*4000)[:-20], 'cannot be unpacked'), 'empty': ('a.csv', b'', 'is empty'), 'no Parquet': ('a.parquet', b'PAR1 and so on', 'is no whole Parquet file'),
    'long cell': ('a.csv', b'text,n\n"'+b'a'*((1<<23)+9)+b'",1\n', 'more than 8 MiB')}

@pytest.mark.parametrize('name', bad)
def test_bad(name, tmp_path):
    file,data,match = bad[name]
    (tmp_path/file).write_bytes(data)
    with pytest.raises(ValueError, match=match): all_rows(tmp_path/file)
    assert csv.field_size_limit()==131072

@pytest.mark.parametrize('n', [1,2,3])
def test_open_quote_at_the_end_of_a_block(n, tmp_path):
    "The swallowed rows are not given out as a comment, wherever the block ends"
    (tmp_path/'a.csv').write_text('n,text\n1,so\n2,"open\n3,you\n4,x\n')
    seen = []
    with pytest.raises(ValueError, match='never closed'):
        for o in read_rows(tmp_path/'a.csv', chunk=n): seen += o.rows
    assert [o['text'] for o in seen] in ([],['so'])

def test_long_comments(tmp_path):
    "Longer than the module `csv` takes by itself"
    (tmp_path/'a.csv').write_text('text\n'+'word '*60_000+'\n')
    assert len(all_rows(tmp_path/'a.csv')[0]['text'])==300_000

@pytest.mark.parametrize('data,n', [(b'text,n\na,1\nb,2', 2), (b'text\na\n\nb\n', 3), (b'text,n\n\na,1\n\nb,2\n\n', 2), (b'text,n\n', 0), (b'\xef\xbb\xbftext,n\r\na,1\r\n', 1), ('text,n\na,1\n'.encode('utf-16'), 1)])
def test_ends(data, n, tmp_path):
    (tmp_path/'a.csv').write_bytes(data)
    assert len(all_rows(tmp_path/'a.csv'))==n and next(iter(read_rows(tmp_path/'a.csv'))).names[0]=='text'

# Pipes

class Drip(io.RawIOBase):
    "A pipe that gives a few bytes at a time"
    def __init__(self, data, n): self.data,self.n = data,n
    def readable(self): return True
    def readinto(self, b):
        res,self.data = self.data[:min(self.n, len(b))],self.data[min(self.n, len(b)):]
        b[:len(res)] = res
        return len(res)

@pytest.mark.parametrize('n', [7,64,10**6])
@pytest.mark.parametrize('format', ['csv','tsv','jsonl'])
@pytest.mark.parametrize('pack', [bytes,gzip.compress])
def test_pipes(format, n, pack):
    rows = [dict(text=o, n=str(i)) for i,o in enumerate(odd_texts)]
    block = RowBlock(0, ['text','n'], rows)
    data = row_formats[format].encode(block, RowShape(block.names), True)
    assert all_rows(Drip(pack(data), n), format=format, how=TextOptions(quoting=csv.QUOTE_MINIMAL))==rows

def test_pipe_is_no_table():
    with pytest.raises(ValueError, match='cannot be Parquet'): all_rows(io.BytesIO(b'PAR1'), format='parquet')

# Bounds

def test_light():
    "The standard library alone reads and writes text"
    code = "import sys; [sys.modules.__setitem__(o, None) for o in ('numpy','pandas','pyarrow','torch')]; from toxicai.streams import *; import io; print(sum(len(o) for o in read_rows(io.BytesIO(b'a,b\\n1,2\\n'), 'csv')))"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='1'

def test_bounded(tmp_path):
    "Peak of what Python allocates does not grow with the file"
    import tracemalloc
    def _peak(n):
        (tmp_path/'a.csv').write_text('text,n\n'+''.join(f'you and me {i},{i}\n' for i in range(n)))
        tracemalloc.start()
        write_rows(read_rows(tmp_path/'a.csv', chunk=1000), tmp_path/'b.jsonl.gz')
        return (tracemalloc.get_traced_memory()[1],tracemalloc.stop())[0]
    few,many = _peak(20_000),_peak(80_000)
    assert many<1.1*few # blocks are let go of

def test_share(tmp_path):
    "How far the reading is, for each kind of file"
    block = RowBlock(0, ['text'], [dict(text=f'{i} {hash(str(i))}') for i in range(200_000)])
    for o in ('a.csv','a.jsonl','a.csv.gz','a.parquet'):
        write_rows([block], tmp_path/o)
        shares = [b.share for b in read_rows(tmp_path/o, chunk=50_000)]
        assert shares==sorted(shares) and 0<shares[0]<.6 and shares[-1]==1
    with zipfile.ZipFile(tmp_path/'a.zip', 'w') as z: z.write(tmp_path/'a.csv', 'a.csv')
    assert next(iter(read_rows(tmp_path/'a.zip', 'csv'))).share is None

# Numbers of single precision

def single_precision(n=20_000, seed=0):
    "All kinds of them, from random bits"
    bits = np.random.default_rng(seed).integers(0, 2**32, n, dtype=np.uint32)
    return np.concatenate([bits.view(np.float32), np.float32([0.1,1/3,0.929992,16777216,1e20,1.5e-42,-0.0])])

def test_shortest_text_of_single_precision():
    "As NumPy prints them: nothing is lost, and nothing is added"
    given = single_precision()
    given = given[np.isfinite(given)]
    got = [o['p'] for o in RowBlock(0, ['p'], batch=pa.RecordBatch.from_arrays([pa.array(given)], names=['p'])).dicts()]
    assert got==[float(str(o)) for o in given] and (np.float32(got)==given).all()

@pytest.mark.parametrize('kind,value', [
    ('float32()',0.1), ('list_(pa.float32())',[0.1,None,0.3]), ('list_(pa.float32(), 2)',[0.1,0.2]), ('large_list(pa.float32())',[0.7]),
    ("struct([('a',pa.float32()),('b',pa.list_(pa.float32()))])",dict(a=0.1, b=[0.2])), ('map_(pa.string(), pa.float32())',[('a',0.1)]),
    ('float64()',0.1), ('int64()',2**60+1), ('string()','0.10000000149011612'), ("timestamp('us')",datetime(2026, 1, 2))], ids=lambda o: str(o) if isinstance(o, str) else '')
def test_single_precision_in_any_column(kind, value):
    "Also within lists and records; gaps stay, and other types are left alone"
    batch = pa.RecordBatch.from_arrays([pa.array([value,None], eval('pa.'+kind, dict(pa=pa)))], names=['p'])
    assert [o['p'] for o in RowBlock(0, ['p'], batch=batch).dicts()]==[value,None]

@pytest.mark.parametrize('ending,says', [('.csv','0.1,nan,hi'), ('.tsv','0.1\tnan\thi'), ('.jsonl','{"p": 0.1, "q": null, "text": "hi"}')])
def test_single_precision_in_text(tmp_path, ending, says):
    pq.write_table(pa.table(dict(p=pa.array([0.1], pa.float32()), q=pa.array([float('nan')], pa.float32()), text=['hi'])), tmp_path/'a.parquet')
    write_rows(read_rows(tmp_path/'a.parquet'), tmp_path/f'b{ending}')
    assert (tmp_path/f'b{ending}').read_text().splitlines()[-1]==says

@pytest.mark.parametrize('value,says', [
    (float('nan'),'null'), (float('-inf'),'null'), ([1.5,float('nan'),{'a':float('inf')}],'[1.5, null, {"a": null}]'),
    ({'é':float('nan'),'\ud800':1},'{"\\u00e9": null, "\\ud800": 1}'), (1e308,'1e+308'), ('NaN','"NaN"')], ids=str)
def test_json_has_finite_numbers(value, says):
    "What is written can be read by whoever reads JSON strictly"
    assert json_text(value)==says
    json.loads(says, parse_constant=lambda o: 1/0)

"Files of others: only what is checked is read, once; what is damaged says so"
import json,os,random,struct

import pytest,torch
from hypothesis import given,strategies as st
from safetensors import safe_open
from safetensors.torch import load_file,save_file
from toxicai.stored import *
from toxicai.test_utils import *

# Tensors

def some_tensors():
    torch.manual_seed(0)
    res = {f'w{i}':torch.randn(3, i+1, dtype=o) for i,o in enumerate((torch.float32,torch.float16,torch.bfloat16,torch.float64))}
    ints = {str(o):torch.arange(6).reshape(2,3).to(o) for o in (torch.int64,torch.int32,torch.int16,torch.int8,torch.uint8)}
    return {**res, **ints, 'flags':torch.tensor([True,False]), 'one':torch.tensor(2.5), 'none':torch.zeros(0, 4)}

@pytest.fixture
def path(tmp_path):
    save_file(some_tensors(), tmp_path/'a.safetensors', metadata={'format':'pt'})
    return tmp_path/'a.safetensors'

def read(path):
    with open(path, 'rb') as f: return StoredTensors(f, path.name).tensors()

def test_same_as_safetensors(path):
    "Every type, bit for bit; all in one block of memory that no file stands behind"
    found = read(path)
    for k,v in load_file(path).items(): assert found[k].dtype==v.dtype and torch.equal(found[k], v), k
    assert len({o.untyped_storage().data_ptr() for o in found.values() if o.numel()})==1
    os.truncate(path, 0)
    assert torch.equal(found['w0'], some_tensors()['w0'])

def with_header(path, f):
    "The file with its header changed by `f`"
    data = path.read_bytes()
    n = struct.unpack('<Q', data[:8])[0]
    head = json.dumps(f(json.loads(data[8:8+n]))).encode()
    path.write_bytes(struct.pack('<Q', len(head))+head+data[8+n:])

def set_entry(**kw): return lambda d: {**d, 'w0':{**d['w0'], **kw}}

broken = dict(shape=set_entry(shape=[3,2]), negative=set_entry(shape=[-1,-3]), text=set_entry(shape=['3',1]), no_list=set_entry(shape=3), real=set_entry(shape=[3.,1.]), true=set_entry(shape=[3,True]),
              type=set_entry(dtype='F8'), no_type=set_entry(dtype=['F32']), more=set_entry(more=1), place=set_entry(data_offsets=[0,8]), one_place=set_entry(data_offsets=[12]), backwards=set_entry(data_offsets=[12,0]),
              overlap=lambda d: {**d, 'again':d['w0']}, gap=lambda d: {k:v for k,v in d.items() if k!='w0'}, list=lambda d: list(d.values()), notes=lambda d: {**d, '__metadata__':[1]}, huge=set_entry(shape=[2**47,2**47]))

@pytest.mark.parametrize('name', broken)
def test_broken_header(path, name):
    with_header(path, broken[name])
    with pytest.raises(FolderError, match="'a.safetensors' is not a safetensors file"): read(path)

def test_random_damage(path):
    "What passes here passes safetensors' own reader, with the same shapes"
    good,rng,passed = path.read_bytes(),random.Random(0),0
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.choice([1,2,9])): data[rng.randrange(min(len(data), 700))] = rng.randrange(256)
        path.write_bytes(data if rng.random()<.8 else data[:rng.randrange(len(data))])
        try: found = tensor_shapes(path)
        except FolderError: continue
        with safe_open(path, framework='pt') as f: assert {k:tuple(f.get_slice(k).get_shape()) for k in f.keys()}=={k:o[1] for k,o in found.items()}
        passed += 1
    assert 0<passed<250

# JSON

bad_json = {b'':'JSONDecodeError', b'\xff':'UnicodeDecodeError', b'{"a":Infinity}':'not a number of JSON', b'['*10**5:'RecursionError', b'{"a":{"b":1,"b":2}}':'twice',
            b'{"a":'+b'9'*5000+b'}':'ValueError', b'null':'holds a NoneType', b'"text"':'holds a str', b'{"a":1}{':'Extra data'}

@pytest.mark.parametrize('data', bad_json)
def test_bad_json(data):
    with pytest.raises(FolderError, match=bad_json[data]) as e: parsed_json(data, 'x.json')
    assert "'x.json'" in str(e.value) and str(e.value).isprintable() and len(str(e.value))<250

@pytest.mark.parametrize('o', ['a\x1b[2Jb', 'a\nb', '\u202eabc', 'x'*500, {'a\n':1}, '\ud800'])
def test_quoted(o):
    assert quoted(o).isprintable() and len(quoted(o))<=80 and quoted(o).encode('utf-8')

# Which file

key = st.sampled_from(['a','b',':','a:','\\\\','\\"','\\u003a','\\u003A','\\\\u003a','é',''])
plain = key.map(lambda o: f'"{o}"') | st.sampled_from(['1','-2.5','true','null','[]','{}'])
def members(inner): return st.lists(st.tuples(key, inner), max_size=5).map(lambda os: '{'+', '.join(f'"{k}" : {v}' for k,v in os)+'}')
def items(inner): return st.lists(inner, max_size=4).map(lambda os: f"[{','.join(os)}]")

@given(members(st.recursive(plain, lambda o: members(o) | items(o), max_leaves=12)))
def test_keys_that_are_there_twice(text):
    "Found as by asking for the pairs, whatever colons, quotes and escapes stand in texts"
    try: want = json.loads(text, object_pairs_hook=unique_keys)
    except ValueError: want = None
    if want is not None: assert strict_json(text)==want and ('\\u003' in text.lower() or needed_colons(want)==text.count(':'))
    else:
        with pytest.raises(FolderError, match='a key is there twice'): parsed_json(text.encode(), 'a.json')

def test_swapped_while_opened(tmp_path, monkeypatch):
    "A link to elsewhere that takes the place of a checked file is not read"
    folder,outside = tmp_path/'folder',tmp_path/'secret'
    folder.mkdir()
    (folder/'config.json').write_text('{"mine":1}')
    outside.write_text('{"secret":1}')
    real = os.open
    def swapped(path, flags, *args, **kwargs):
        if str(path).endswith('config.json'):
            os.unlink(folder/'config.json')
            os.link(outside, folder/'config.json') if hard else os.symlink(outside, folder/'config.json')
        return real(path, flags, *args, **kwargs)
    monkeypatch.setattr(os, 'open', swapped)
    hard = False
    with pytest.raises(FolderError, match="'config.json' cannot be opened"): read_in(folder, 'config.json')

def test_folder_swapped(tmp_path, monkeypatch):
    "The folder itself becomes a link to another one between look and opening"
    for o in ('a','b'):
        (tmp_path/o).mkdir()
        (tmp_path/o/'config.json').write_text(o)
    real,folder = os.open,tmp_path/'a'
    def swapped(path, flags, *args, **kwargs):
        if str(path).endswith('config.json'):
            (tmp_path/'a').rename(tmp_path/'old')
            (tmp_path/'a').symlink_to(tmp_path/'b')
            fd = real(path, flags, *args, **kwargs)
            (tmp_path/'a').unlink()
            (tmp_path/'old').rename(tmp_path/'a')
            return fd
        return real(path, flags, *args, **kwargs)
    monkeypatch.setattr(os, 'open', swapped)
    with pytest.raises(FolderError, match='took its place'): read_in(folder, 'config.json')

def test_grows_while_read(tmp_path, monkeypatch):
    (tmp_path/'config.json').write_text('{}')
    real,seen = os.fstat,[]
    def fstat(fd):
        res = real(fd)
        if res.st_size==2:
            seen.append(1)
            if len(seen)==2: (tmp_path/'config.json').write_text('{"a":1}')
        return res
    monkeypatch.setattr(os, 'fstat', fstat)
    with pytest.raises(FolderError, match='changed while it was read'): read_in(tmp_path, 'config.json')

def test_limit_is_of_the_name(tmp_path):
    "A link within the folder has the limit of the name that is asked for, not of the file that it leads to"
    with open(tmp_path/'model.safetensors', 'wb') as f: f.truncate(2**23)
    (tmp_path/'config.json').symlink_to('model.safetensors')
    with pytest.raises(FolderError, match="'config.json' has 8,388,608 bytes: expected 4,194,304 at most"): file_in(tmp_path, 'config.json')

@pytest.mark.parametrize('name', ['..', '.', '../x', '/etc/passwd', 'no\0such', 'x'*9999])
def test_odd_names(tmp_path, name):
    with pytest.raises(FolderError): read_in(tmp_path, name)

def test_many_tensors(tmp_path):
    "So many tensors that comparing them would take long end at the header"
    entry = dict(dtype='F32', shape=[0], data_offsets=[0,0])
    for n in (2**16, 2**16+1):
        head = json.dumps({f'{i:x}':entry for i in range(n)}).encode()
        (tmp_path/'a').write_bytes(struct.pack('<Q', len(head))+head)
        if n==2**16: assert len(tensor_shapes(tmp_path/'a'))==n
        else:
            with pytest.raises(FolderError, match='65,537 tensors: expected 65,536'): tensor_shapes(tmp_path/'a')

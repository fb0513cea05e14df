"Updates of a network: what is written, what runs, and which ones are refused; crosses serve.folder, serve.network, serve.backends, train.onnx and train.export"
import json,os,pickle,re,shutil,subprocess,sys
from dataclasses import replace
from pathlib import Path

import numpy as np,pytest
import toxicai.serve.backends as backends_module
from toxicai.all import *
from toxicai.files import file_digest,written_files
from toxicai.stored import StoredTensors,stored_arrays,tensor_file
from toxicai.serve.backends import *
from toxicai.serve.folder import *
from toxicai.serve.network import most_ranges
from toxicai.serve.packaged import check_scores
from toxicai.test_utils import *
from toxicai.evaluate import write_changed
from toxicai.runs.crossval import write_average,write_soup
from toxicai.train.export import pack_detector,pack_weights,update_network
from toxicai.train.onnx import network_update,write_update

for o in ('onnxruntime','onnxscript'): pytest.importorskip(o)
onnx = pytest.importorskip('onnx')
texts = ['thank you','you are an idiot','', 'go away '*30]
int8,upd = 'model.int8.onnx','model.int8.update.safetensors'

def noisy(learn, pattern):
    "Weights with noise on those whose name fits"
    import torch
    torch.manual_seed(7)
    return {k:o+.02*torch.randn_like(o) if o.is_floating_point() and re.search(pattern, k) else o for k,o in learn.model.state_dict().items()}

@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "Two folders of one course, whose last layer and head differ, and the second one as an update of the first"
    home = tmp_path_factory.mktemp('course')
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    learn = toxicity_learner(dls)
    learn.model.load_state_dict(noisy(learn, '')) # equal tensors, as a new network has them, would be stored once
    learn.save_detector(home/'base', onnx=True)
    learn.model.load_state_dict(noisy(learn, 'layer.1.output|classifier'))
    learn.save_detector(home/'whole', onnx=True)
    shutil.copytree(home/'whole', home/'updated')
    update_network(home/'updated', home/'base')
    return home

@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    "The one with an update, without a list of files, as a stranger may leave it"
    monkeypatch.chdir(tmp_path)
    return unlisted(Path(shutil.copytree(trained/'updated', tmp_path/'folder')))

def unlisted(path):
    d = json.loads((path/'toxicai.json').read_text())
    (path/'toxicai.json').write_text(json.dumps({**d, 'files':{}}))
    return path

# What runs

@pytest.mark.parametrize('backend', ['onnx-int8','onnx','torch','openvino'])
def test_same_scores(backend, trained):
    "The file with its update judges as the whole one, to the last bit; the networks in fp32 are untouched"
    if why_not(read_folder(trained/'updated'), backend): pytest.skip(f'no {backend}')
    a,b = (Detector(trained/o, backend) for o in ('whole','updated'))
    assert np.array_equal(a.scores(texts), b.scores(texts))
    assert ('the network with an update of' in b.why)==(backend=='onnx-int8') and 'update' not in a.why

def test_what_is_there(trained):
    base,whole,new = (read_folder(trained/o) for o in ('base','whole','updated'))
    assert new.read(int8)==base.read(int8)!=whole.read(int8)
    assert new.files[upd]==file_digest(new.file(upd))==written_files(new.path)[upd]
    assert updated(new)==whole.read(int8) and len({base.hash,whole.hash,new.hash})==3
    assert not np.array_equal(Detector(base, 'onnx-int8').scores(texts), Detector(new, 'onnx-int8').scores(texts))

def updated(found): return folder_network(found, found.file(int8)).content

def test_hash_without_a_list(folder):
    before = read_folder(folder).hash
    (folder/upd).write_bytes(tensor_file({'0':np.frombuffer((folder/int8).read_bytes()[:4], np.uint8)}))
    assert read_folder(folder).hash!=before

def test_recheck(trained):
    d = Detector(trained/'updated', 'onnx-int8', recheck=True)
    assert np.array_equal(d.scores(texts), Detector(trained/'whole', 'onnx-int8', recheck=True).scores(texts))

def test_many_threads(trained):
    "Each number of calls at a time opens the network anew"
    f = read_folder(trained/'updated')
    runs = [open_backend(f, 'onnx-int8', 2, at_once=o) for o in (1,2)]
    x = {o:np.ones((2,5), np.int64) for o in f.text['fields']}
    assert np.array_equal(*[o(x) for o in runs])

@pytest.mark.parametrize('library', ['onnxruntime','openvino'])
def test_engines_take_bytes(library, trained):
    "Both engines run what they are given, and not the file"
    if not engine_installed(library): pytest.skip(f'no {library}')
    whole,base = (read_folder(trained/o) for o in ('whole','base'))
    network,x = folder_network(base, base.file('model.onnx')),{o:np.ones((2,5), np.int64) for o in base.text['fields']}
    other = replace(network, content=whole.read('model.onnx'))
    def _run(n):
        if library=='onnxruntime': return onnx_session(n, 1).run(None, {o:x[o] for o in n.inputs})[0]
        return run_openvino(openvino_network(n, 1), n.inputs)(x)
    want = _run(folder_network(whole, whole.file('model.onnx')))
    assert np.array_equal(_run(other), want) and not np.array_equal(_run(network), want)

def test_bytes_are_let_go(trained, monkeypatch):
    "The session keeps no copy of the file"
    seen,real = [],backends_module.onnx_session
    monkeypatch.setattr(backends_module, 'onnx_session', lambda *a: seen.append(real(*a)) or seen[-1])
    f = read_folder(trained/'updated')
    open_backend(f, 'onnx-int8', 1)
    assert not [k for k,o in vars(seen[0]).items() if isinstance(o, bytes)]

def test_others_are_not_read(trained, monkeypatch):
    "A folder without an update is opened by its path"
    monkeypatch.setattr(backends_module, 'updated_content', lambda *a: pytest.fail('read into memory'))
    for o in ('onnx-int8','onnx'): Detector(trained/'whole', o).scores(texts)
    Detector(trained/'updated', 'onnx').scores(texts)

def test_own_backend(trained, monkeypatch):
    "A backend that would judge by the old network is not asked"
    f = read_folder(trained/'updated')
    own = Backend('own-int8', 'numpy', 'numpy', lambda *a: pytest.fail('it was asked'), file=int8)
    monkeypatch.setitem(backends_module.backends, 'own-int8', own)
    with pytest.raises(ValueError, match='does not apply .*folder_network'): Detector(f, 'own-int8')
    monkeypatch.setitem(backends_module.backends, 'own-int8', replace(backends['onnx-int8'], name='own-int8'))
    assert np.array_equal(Detector(f, 'own-int8').scores(texts), Detector(f, 'onnx-int8').scores(texts))

# Folders that somebody broke or booby-trapped

def array(n, dtype='uint8'): return np.zeros(n, dtype)
def arrays(d): return lambda o: (o/upd).write_bytes(tensor_file(d))
def rename(a, b):
    "An attack that moves or copies a file of the folder"
    return lambda o: (o/a).rename(o/b)
def copy(a, b): return lambda o: shutil.copy(o/a, o/b)
def cut(o): os.truncate(o/upd, (o/upd).stat().st_size-1)
def flip(path, at):
    "Change a byte"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
def linked(o):
    (o/upd).rename(o.parent/'outside')
    (o/upd).symlink_to('../outside')
def dangling(o):
    (o/upd).unlink()
    (o/upd).symlink_to('nowhere')
def pipe(o):
    (o/upd).unlink()
    os.mkfifo(o/upd)

def spelled(old, new):
    "An attack that writes `new` over `old` in the graph, through an update alone"
    def _change(o):
        at = (o/int8).read_bytes().index(old)
        (o/upd).write_bytes(tensor_file({str(at):np.frombuffer(new, np.uint8)}))
    return _change

def several(*attacks): return lambda o: [a(o) for a in attacks]

hostile = {
    'a name that is no number': (arrays({'weights':array(4)}), "its array 'weights'"),
    'a path': (arrays({'../../etc/passwd':array(4)}), "its array '../../etc/passwd'"),
    'below zero': (arrays({'-4':array(4)}), "its array '-4'"),
    'a sign': (arrays({'+4':array(4)}), "its array '+4'"),
    'zeros before': (arrays({'004':array(4)}), "its array '004'"),
    'a base': (arrays({'0x10':array(4)}), "its array '0x10'"),
    'digits of another script': (arrays({'١٢':array(4)}), 'its array'),
    'a power': (arrays({'²':array(4)}), 'its array'),
    'underscores': (arrays({'1_0':array(4)}), "its array '1_0'"),
    'a blank': (arrays({'10 ':array(4)}), "its array '10 '"),
    'a line end': (arrays({'10\n':array(4)}), 'its array'),
    'no name': (arrays({'':array(4)}), "its array ''"),
    'a number without end': (arrays({'9'*5000:array(4)}), 'its array'),
    'far beyond': (arrays({'9'*13:array(4)}), 'of another network|belongs to another network'),
    'beyond the end': (lambda o: arrays({str((o/int8).stat().st_size-3):array(4)})(o), 'belongs to another network'),
    'the same bytes twice': (arrays({'10':array(4), '12':array(4)}), 'two of its arrays replace byte 12'),
    'one within another': (arrays({'10':array(40), '12':array(4)}), 'two of its arrays replace byte 12'),
    'signed bytes': (arrays({'10':array(4, 'int8')}), 'is of I8'),
    'floats': (arrays({'10':array(4, 'float32')}), 'is of F32'),
    'a table': (arrays({'10':array((2,2))}), 'the shape [2, 2]'),
    'a single number': (arrays({'10':array(())}), 'the shape []'),
    'no bytes': (arrays({'10':array(0)}), 'the shape [0]'),
    'no arrays': (arrays({}), 'it has 0 arrays'),
    'thousands of arrays': (arrays({str(2*i):array(1) for i in range(most_ranges+1)}), f'expected 1 to {most_ranges}'),
    'an empty file': (lambda o: (o/upd).write_bytes(b''), 'not a safetensors file'),
    'a pickle': (lambda o: (o/upd).write_bytes(pickle.dumps({'10':b'4'})), 'not a safetensors file'),
    'cut': (cut, 'not a safetensors file'),
    'longer': (lambda o: (o/upd).open('ab').write(b'x'), 'not a safetensors file'),
    'a link out': (linked, 'leads out of the folder'),
    'a link to nowhere': (dangling, f'no readable {upd!r}'),
    'a pipe': (pipe, 'not a plain file'),
    'without its network': (lambda o: (o/int8).unlink(), f'changes {int8!r}, which'),
    'of a network in fp32': (copy(upd, 'model.update.safetensors'), "changes 'model.onnx', expected"),
    'of weights with a mean': (copy(upd, 'mean_pooling.update.safetensors'), "changes 'mean_pooling.safetensors', expected"),
    'of another network': (lambda o: (o/int8).write_bytes((o/int8).read_bytes()[:20_000]), f'{upd!r} was made for a network with the SHA-256'),
    'of another network of its length': (lambda o: flip(o/int8, -1), f'{upd!r} was made for a network with the SHA-256'),
    'of what it says': (lambda o: (o/upd).write_bytes(tensor_file({'10':array(4)}, base='\x1b[2J'*99)), f'{upd!r} was made for a network'),
    'of no text': (lambda o: (o/upd).write_bytes(tensor_file({'10':array(4)}, base={'a':[{}]})), f'{upd!r} was made for a network'),
    'the network itself': (copy(int8, upd), 'not a safetensors file'),
    'the weights': (copy('model.safetensors', upd), 'it has 37 arrays|its array'),
    'of a network that is two': (several(lambda o: (o/'model.onnx').unlink(), lambda o: (o/'model.onnx').symlink_to(int8)), 'are one file'),
    'of a network of 8 GB': (lambda o: os.truncate(o/int8, 2**33), f'{int8!r} has 8,589,934,592 bytes'),
    'another operator': (spelled(b'MatMulInteger', b'NatMulInteger'), "'NatMulInteger'"),
    'a loop': (spelled(b'\x22\x04Cast', b'\x22\x04Loop'), "'Loop'"),
    'another input': (spelled(b'input_ids', b'input_idz'), 'input_idz'),
    'no network': (arrays({'0':array(64)}), f'{int8!r} cannot be run')}

@pytest.mark.parametrize('name', hostile)
def test_hostile(name, folder, monkeypatch):
    attack,err = hostile[name]
    attack(folder)
    monkeypatch.setattr(backends_module, 'onnx_session', lambda *a: pytest.fail('the engine was asked'))
    with pytest.raises(FolderError) as e: Detector(folder, 'onnx-int8').scores(['a'])
    assert any(o in str(e.value) for o in err.split('|')), str(e.value)
    assert len(str(e.value))<600 and str(e.value).isprintable()

def test_good(folder): assert Detector(folder, 'onnx-int8').scores(texts).shape==(4,2)

@pytest.mark.parametrize('name', [int8,upd])
def test_digests(name, trained, tmp_path):
    "Both files are compared with the list"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    flip(folder/name, -1)
    with pytest.raises(FolderError, match=f'{name!r} has the SHA-256'): Detector(folder, 'onnx-int8').scores(texts)
    if name==upd: Detector(folder, 'onnx').scores(texts)

def test_not_listed(trained, tmp_path):
    folder = Path(shutil.copytree(trained/'base', tmp_path/'folder'))
    shutil.copy(trained/'updated'/upd, folder)
    with pytest.raises(FolderError, match=f'does not list {upd!r}.*relist_files'): Detector(folder, 'onnx-int8').scores(texts)
    relist_files(folder)
    assert np.array_equal(Detector(folder, 'onnx-int8').scores(texts), Detector(trained/'whole', 'onnx-int8').scores(texts))

def test_gone(trained, tmp_path):
    "The old network alone does not take the place of one with an update"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    (folder/upd).unlink()
    with pytest.raises(FolderError, match=f'no readable {upd!r}'): Detector(folder, 'onnx-int8').scores(texts)

@pytest.mark.parametrize('name', [int8,upd])
def test_changed_meanwhile(name, folder, monkeypatch):
    "Files that are others when the engine has opened the network are refused"
    real = backends_module.check_onnx
    def _swapped(*args):
        res = real(*args)
        shutil.copy(folder/name, folder/'new')
        os.replace(folder/'new', folder/name)
        return res
    monkeypatch.setattr(backends_module, 'check_onnx', _swapped)
    with pytest.raises(FolderError, match=f'{name!r} was changed while it was opened'): open_backend(read_folder(folder), 'onnx-int8', 1)

def test_listed_in_haste(trained, tmp_path):
    "Whoever lists a new network beside an old update is told so, though each file is as listed"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    shutil.copy(trained/'whole'/int8, folder)
    relist_files(folder)
    with pytest.raises(FolderError, match='made for a network with the SHA-256'): Detector(folder, 'onnx-int8').scores(texts)

def test_without_a_name_of_its_network(trained, tmp_path):
    "Updates that were written before they named it are taken"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    with open(folder/upd, 'rb') as f: found = stored_arrays(stored := StoredTensors(f, upd))
    assert stored.notes=={'base':file_digest(folder/int8)}
    (folder/upd).write_bytes(tensor_file(found))
    relist_files(folder)
    assert np.array_equal(Detector(folder, 'onnx-int8').scores(texts), Detector(trained/'whole', 'onnx-int8').scores(texts))

def test_both_removed(trained, tmp_path):
    "A folder without its network in int8 judges by the others, listed or not"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    for o in (int8,upd): (folder/o).unlink()
    want = Detector(trained/'updated', 'onnx').scores(texts)
    assert np.array_equal(Detector(folder, 'onnx').scores(texts), want)
    out = write_changed(read_folder(folder), read_folder(folder).content, tmp_path/'out')
    assert np.array_equal(Detector(out, 'onnx').scores(texts), want) and int8 not in read_folder(out).files

# What is written

@pytest.mark.parametrize('seed', range(6))
def test_writer(seed, tmp_path):
    "Whatever differs, the old file with the update is the new one, in some hundred ranges"
    rng = np.random.default_rng(seed)
    old = rng.integers(0, 256, 200_000, dtype=np.uint8)
    new = old.copy()
    for at in rng.integers(0, 199_000, 3+seed*200): new[at:at+rng.integers(1, 80)] += 1
    if seed%2: new[[0,-1]] ^= 255
    for name,o in (('old',old),('new',new)): (tmp_path/name).write_bytes(o.tobytes())
    path = write_update(tmp_path/'old', tmp_path/'new', tmp_path)
    with open(path, 'rb') as f: found = stored_arrays(StoredTensors(f, upd))
    for k,o in found.items(): old[int(k):int(k)+len(o)] = o
    assert np.array_equal(old, new) and 0<len(found)<=most_ranges//2

refused = {'another length': (b'0'*90, 'have 100 and 90 bytes'), 'the same': (b'0'*100, 'nothing to update'),
           'more than half': (b'0'*40+b'1'*60, '60 of 100 bytes'), 'spread over all': (b'100'*33+b'1', '100 of 100 bytes: this is another network')}

@pytest.mark.parametrize('name', refused)
def test_refused(name, tmp_path):
    new,err = refused[name]
    (tmp_path/'old').write_bytes(b'0'*100)
    (tmp_path/'new').write_bytes(new)
    with pytest.raises(ValueError, match=err): write_update(tmp_path/'old', tmp_path/'new', tmp_path)
    assert not (tmp_path/upd).exists()

def test_update_network_whole_or_not(trained, tmp_path):
    "Nothing of a folder changes when its network cannot be an update"
    folder = Path(shutil.copytree(trained/'base', tmp_path/'folder'))
    with pytest.raises(ValueError, match='nothing to update'): update_network(folder, trained/'base')
    assert read_folder(folder).hash==read_folder(trained/'base').hash and not (folder/upd).exists()
    with pytest.raises(ValueError, match='has an update'): update_network(trained/'updated', trained/'base')

# Where folders are copied

def test_packed(trained, tmp_path):
    packed = read_folder(pack_detector(trained/'updated', tmp_path/'packed', 'rude', '1.0.0'))
    assert packed.has(upd) and upd in packed.files and not packed.has('model.onnx')
    assert check_scores(packed).apart.max()<1e-8 # digits that are kept
    assert np.array_equal(Detector(packed).scores(texts), Detector(trained/'whole', 'onnx-int8').scores(texts))
    assert 'It is the network with an update of' in (packed.path/'README.md').read_text(encoding='utf-8')
    whole = pack_detector(trained/'whole', tmp_path/'whole', 'rude', '1.0.0')
    assert 'an update of' not in (whole/'README.md').read_text(encoding='utf-8')

def changed(found, out): return write_changed(found, found.content, out)
def packed(found, out): return pack_detector(found.path, out, 'rude', '1.0.0')
def weights(found, out): return pack_weights(found.path, out, 'rude', '1.0.0')
def soup(found, out): return write_soup([found.path]*2, out, found.labels)
def average(found, out): return write_average([found.path]*2, out, found.labels)

damages = [(changed,upd), (changed,int8), (changed,'model.safetensors'), (packed,upd), (packed,'tokenizer.json'), (weights,'model.safetensors'),
           (soup,'model.safetensors'), (soup,'tokenizer.json'), (average,upd)]

@pytest.mark.parametrize('write,name', damages)
def test_damage_is_not_copied(write, name, trained, tmp_path):
    "A copy has a list of its own, in which a damaged file would be sound"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    flip(folder/name, -2)
    with pytest.raises(FolderError, match=f'{name!r} has the SHA-256'): write(read_folder(folder), tmp_path/'out')
    assert not (tmp_path/'out').exists()

@pytest.mark.parametrize('write', [changed,packed,weights,soup,average])
def test_what_came_later_is_not_copied(write, trained, tmp_path):
    "Neither a network or an update that is not listed, nor what a link leads to"
    folder = Path(shutil.copytree(trained/'base', tmp_path/'folder'))
    shutil.copy(trained/'updated'/upd, folder)
    (tmp_path/'key').write_text('private')
    (folder/'notes.txt').symlink_to(tmp_path/'key')
    out = write(read_folder(folder), tmp_path/'out')
    assert not {upd,'notes.txt'} & {o.name for o in out.rglob('*')}
    unlisted(folder)
    with pytest.raises(FolderError, match='leads out of the folder'): changed(read_folder(folder), tmp_path/'other')

def test_update_goes_with_its_network(trained, tmp_path):
    "No copy judges by the old network because the update was lost"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    (folder/upd).unlink()
    with pytest.raises(FolderError, match=f'no readable {upd!r}'): changed(read_folder(folder), tmp_path/'out')

def test_without_what_was_removed(trained, tmp_path):
    "A folder without its networks in fp32, which are in its record and its list, gets an update"
    folder = Path(shutil.copytree(trained/'whole', tmp_path/'folder'))
    for o in ('model.onnx','model.safetensors'): (folder/o).unlink()
    (folder/'mine.txt').write_text('mine')
    update_network(folder, trained/'base')
    assert np.array_equal(Detector(folder).scores(texts), Detector(trained/'whole', 'onnx-int8').scores(texts))
    assert read_folder(folder).update_of(int8)==upd and (folder/'mine.txt').exists()

def test_own_files_beside(trained, tmp_path):
    "A folder is changed where it is, whatever else lies in it, listed or not; a card that was rewritten is copied"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    for o in ('mine.txt','yours.txt'): (folder/o).write_text(o)
    relist_files(folder)
    (folder/'later.txt').write_text('later')
    found = read_folder(folder)
    changed(found, None)
    assert read_folder(folder).files==found.files and [(folder/o).exists() for o in ('mine.txt','yours.txt','later.txt')]==[True]*3
    (folder/'README.md').write_text('# Mine')
    assert (changed(read_folder(folder), tmp_path/'out')/'README.md').read_text()=='# Mine' and (tmp_path/'out/mine.txt').exists()

@pytest.mark.parametrize('name', [upd,'model.onnx','mean_pooling.safetensors'])
def test_in_the_way(name, trained, tmp_path):
    "A network or an update that somebody put into a folder is not left beside new ones, which would be read with it"
    folder = Path(shutil.copytree(trained/'base', tmp_path/'folder'))
    record = json.loads((folder/'.toxicai-written.json').read_text())
    record['files'].pop(name, None)
    (folder/'.toxicai-written.json').write_text(json.dumps(record))
    if not (folder/name).exists(): shutil.copy(trained/'updated'/upd, folder/name)
    before = (folder/name).read_bytes()
    with pytest.raises(FileExistsError, match=f'{name}.*toxicai did not write'): pack_detector(trained/'whole', folder, 'rude', '1.0.0')
    assert (folder/name).read_bytes()==before

def test_pushed(trained, tmp_path, monkeypatch):
    "Names of a record are names, not patterns, and no link of it leads out"
    import huggingface_hub as hub
    from toxicai.train.export import push_folder
    folder,seen = Path(shutil.copytree(trained/'updated', tmp_path/'folder')),{}
    class Api:
        def __init__(self, token=None): pass
        def create_repo(self, *args, **kwargs): pass
        def upload_folder(self, **kwargs): seen.update(kwargs)
    monkeypatch.setattr(hub, 'HfApi', Api)
    record = json.loads((folder/'.toxicai-written.json').read_text())
    def _record(name): (folder/'.toxicai-written.json').write_text(json.dumps({**record, 'files':{**record['files'], name:'0'*64}}))
    _record('*')
    (folder/'key').write_text('private')
    push_folder(folder, 'a/b')
    sent = list(hub.utils.filter_repo_objects([o.name for o in folder.iterdir()], allow_patterns=seen['allow_patterns']))
    assert upd in sent and 'key' not in sent
    _record('card')
    (folder/'card').symlink_to(tmp_path/'key')
    (tmp_path/'key').write_text('private')
    with pytest.raises(FolderError, match="'card' leads out of the folder"): push_folder(folder, 'a/b')

def test_weights_have_none(trained, tmp_path):
    weights = read_folder(pack_weights(trained/'updated', tmp_path/'weights', 'rude', '1.0.0'))
    assert not weights.has(upd) and not weights.has(int8)

def test_soup_has_none(trained, tmp_path):
    soup = read_folder(write_soup([trained/'updated',trained/'base'], tmp_path/'soup', read_folder(trained/'base').labels))
    assert not soup.has(upd) and not soup.has(int8)

def test_saved_anew(trained, tmp_path):
    "A whole network in place of one with an update takes the update away"
    folder = Path(shutil.copytree(trained/'updated', tmp_path/'folder'))
    pack_detector(trained/'whole', folder, 'rude', '1.0.0')
    assert not (folder/upd).exists() and 'update' not in Detector(folder).why

def test_downloaded():
    from toxicai.serve.detector import hub_files
    assert upd in hub_files()

def test_recipe(trained, tmp_path):
    "`pack --base`: the copy that is packed has the network of the base"
    from recipes.detectors.pack import boxes,working_copy
    shutil.copytree(trained/'whole', tmp_path/'whole')
    work = read_folder(working_copy(tmp_path/'whole', boxes['english'], trained/'base'))
    assert work.read(int8)==read_folder(trained/'base').read(int8) and updated(work)==read_folder(trained/'whole').read(int8)
    assert not read_folder(working_copy(tmp_path/'whole', boxes['english'])).has(upd)

# The detector in the box

memory = """
import sys
from toxicai import Detector
Detector(sys.argv[1]).scores(['you are an idiot'])
facts = dict(o.split(':') for o in open('/proc/self/status'))
print(*[int(facts[o].split()[0])//1024 for o in ('VmHWM','VmRSS')])
"""

@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='memory as Linux tells it')
def test_english(tmp_path):
    "As the whole network to the last bit; one copy of the file more while it is opened, none after"
    from toxicai.serve.packaged import packaged_path
    whole,new = (Path(shutil.copytree(packaged_path('english'), tmp_path/o)) for o in ('whole','new'))
    for o in (whole,new): (o/update_name(int8)).unlink() # another is made here
    data = np.fromfile(whole/int8, np.uint8)
    matrix = next(o.raw_data for o in reversed(onnx.load(whole/int8).graph.initializer) if len(o.raw_data)>500_000)
    at = data.tobytes().index(matrix)
    data[at:at+50_000] = np.roll(data[at:at+50_000], 7)
    data.tofile(whole/int8)
    write_update(new/int8, whole/int8, new)
    for o in (whole,new): relist_files(o)
    a,b = (Detector(o) for o in (whole,new))
    assert np.array_equal(a.scores(texts), b.scores(texts)) and not np.array_equal(a.scores(texts), Detector('english').scores(texts))
    (p,r),(q,s) = (map(int, subprocess.run([sys.executable,'-c',memory,o], capture_output=True, text=True, check=True).stdout.split()) for o in (whole,new))
    size = len(data)/2**20
    assert q<p+1.3*size and s<r+.75*size # what the allocator keeps for later is no copy

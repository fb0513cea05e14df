"How classifiers are written: over earlier ones, beside files of others, under kills and on full disks. Crosses `files`, `serve` and `train`"
import multiprocessing,os,resource,shutil,signal,stat,subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np,pytest,torch
from fastai.learner import load_learner

from toxicai import Detector,files
from toxicai.all import *
from toxicai.files import ready_name,record_name
from toxicai.serve.folder import FolderError,read_folder
from toxicai.serve.packaged import packaged_path
from toxicai.train.export import packed_meta
from toxicai.test_utils import comments,tiny_checkpoint
from samples import as_nobody

texts = comments(6).text.tolist()

@pytest.fixture(scope='module')
def learns():
    "Two learners with other weights and thresholds"
    def _learner(seed):
        dls = ToxicityDataLoaders.from_df(comments(40), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8, device='cpu')
        learn = toxicity_learner(dls, seed=seed, precision='fp32')
        return learn.remove_cbs([learn.progress])
    a,b = map(_learner, (1,2))
    b.labels = replace(b.labels, thresholds=[0.3,0.7])
    return a,b

@pytest.fixture(scope='module')
def scores(learns, tmp_path_factory):
    "What the folder of each gives"
    return [Detector(o.save_detector(tmp_path_factory.mktemp('scores')/'d'), 'torch').scores(texts) for o in learns]

def which(folder, scores):
    "0 or 1: whose folder it is, wholly"
    d = Detector(folder, 'torch')
    whose = [i for i,o in enumerate(scores) if np.abs(d.scores(texts)-o).max()<1e-6]
    assert len(whose)==1 and list(d.labels.thresholds)==([0.5,0.5] if whose==[0] else [0.3,0.7])
    return whose[0]

def left(folder): return [o.name for o in Path(folder).rglob('*') if o.name.endswith('.part') or o.name==ready_name]

# Over an earlier one

def test_strangers_stay(learns, scores, tmp_path, monkeypatch):
    "A repository, scripts and data stay; so does the place of who stands in the folder"
    folder = learns[0].save_detector(tmp_path/'d')
    for k,v in {'.git/HEAD':'x', 'train.py':'mine', 'data/c.csv':'text', 'model.bin':'of an other tool'}.items():
        (folder/k).parent.mkdir(exist_ok=True)
        (folder/k).write_text(v)
    (folder/'data'/'deep').mkdir()
    monkeypatch.chdir(folder)
    assert which(learns[1].save_detector('.'), scores)==1 and Path.cwd()==folder
    monkeypatch.chdir(folder/'data'/'deep')
    assert which(learns[0].save_detector(folder), scores)==0 and Path.cwd()==folder/'data'/'deep'
    assert [(folder/o).read_text() for o in ('.git/HEAD','train.py','data/c.csv','model.bin')]==['x','mine','text','of an other tool'] and not left(folder)

@pytest.mark.parametrize('name', ['README.md','toxicai.json','config.json','tokenizer.json','model.safetensors'])
def test_changed_by_hand(name, learns, tmp_path):
    "It is not lost; the error comes before the work, and says what to do"
    folder = learns[0].save_detector(tmp_path/'d')
    with open(folder/name, 'ab') as f: f.write(b' ')
    before = {o.name:o.read_bytes() for o in folder.iterdir()}
    with pytest.raises(FileExistsError, match=f"{name}.*changed since: move that elsewhere, or choose another folder"): learns[1].save_detector(folder)
    assert before=={o.name:o.read_bytes() for o in folder.iterdir()}

def test_network_of_another_kind(learns, tmp_path):
    "What the new classifier has not, and the old one had, is gone; a network that somebody else put there stops the writing"
    folder = tmp_path/'d'
    with files.new_folder(folder, lambda o: None) as new:
        for o in shutil.copytree(learns[0].save_detector(tmp_path/'x'), tmp_path/'y').iterdir():
            if o.name!=record_name: shutil.copy(o, new)
        (new/'model.onnx').write_bytes(b'old network')
    learns[1].save_detector(folder)
    assert not (folder/'model.onnx').exists()
    (folder/'tokenizer.model').write_text('mine')
    learns[1].save_detector(folder)
    assert (folder/'tokenizer.model').exists()

def test_without_a_record(learns, tmp_path):
    "A folder whose record is gone is not written to, nor uploaded"
    folder = learns[0].save_detector(tmp_path/'d')
    (folder/record_name).unlink()
    with pytest.raises(FileExistsError, match='toxicai did not write'): learns[1].save_detector(folder)
    with pytest.raises(ValueError, match='no record of what `save_detector` wrote: save it again'): push_folder(folder, 'owner/name')

def test_modes(learns, tmp_path):
    "Who may read the weights may read all else"
    folder = learns[0].save_detector(tmp_path/'d')
    learns[0].path = tmp_path
    learns[0].export()
    assert {stat.S_IMODE(o.stat().st_mode) for o in (*folder.iterdir(), tmp_path/'export.pkl')}=={0o666 & ~umask()}

def umask():
    old = os.umask(0)
    os.umask(old)
    return old

def test_read_while_written(learns, tmp_path):
    "A folder that was read before, and written since, is not mixed from both"
    f = read_folder(learns[0].save_detector(tmp_path/'d'))
    f.file('config.json')
    learns[1].save_detector(tmp_path/'d')
    with pytest.raises(FolderError, match='written anew while it was read: open it again'): f.file('model.safetensors')
    read_folder(tmp_path/'d').file('model.safetensors')

# Kills

ctx = multiprocessing.get_context('fork')

def killed(learn, folder, n, number=signal.SIGKILL):
    "Save in a process that gets a signal at its `n`-th renaming or forcing to the disk; its exit code"
    def _work():
        torch.set_num_threads(1)
        left = [n]
        def _counted(g):
            def _g(*args, **kwargs):
                left[0] -= 1
                if left[0]==0: os.kill(os.getpid(), number)
                return g(*args, **kwargs)
            return _g
        for o in ('replace','rename','fsync','rmdir'): setattr(os, o, _counted(getattr(os, o)))
        learn.save_detector(folder)
    p = ctx.Process(target=_work)
    p.start()
    p.join(120)
    return p.exitcode

@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_kills(number, learns, scores, tmp_path):
    "The folder is the old classifier or the new one, for every reader, and the next writer leaves nothing of the killed one"
    folder,seen,n,code = learns[0].save_detector(tmp_path/'d'),[],0,None
    (folder/'train.py').write_text('mine')
    while code!=0:
        n += 1 if number==signal.SIGKILL else 4
        code = killed(learns[1], folder, n, number)
        seen.append(which(folder, scores))
        learns[0].save_detector(folder)
        assert which(folder, scores)==0 and not left(tmp_path) and os.listdir(tmp_path)==['d']
    assert {*seen}=={0,1} and (folder/'train.py').read_text()=='mine'

@pytest.mark.slow
def test_kills_of_a_new_one(learns, scores, tmp_path):
    n,code = 0,None
    while code!=0:
        n += 1
        code = killed(learns[1], tmp_path/'d', n)
        assert not (tmp_path/'d').exists() or which(tmp_path/'d', scores)==1
        learns[0].save_detector(tmp_path/'d') if (tmp_path/'d').exists() else None
    assert os.listdir(tmp_path)==['d'] and not left(tmp_path)

def test_two_writers(learns, scores, tmp_path):
    "One after the other, whatever they begin together"
    ps = [ctx.Process(target=lambda o=o: [o.save_detector(tmp_path/'d') for _ in range(3)]) for o in learns]
    for p in ps: p.start()
    for p in ps: p.join(120)
    assert [p.exitcode for p in ps]==[0,0] and which(tmp_path/'d', scores) in (0,1) and os.listdir(tmp_path)==['d'] and not left(tmp_path)

# Disks

@pytest.fixture
def no_room():
    "No file may get larger than 20 kB; the old limit comes back"
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    @contextmanager
    def _no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
        try: yield
        finally: resource.setrlimit(resource.RLIMIT_FSIZE, old)
    return _no_room

def test_no_room(learns, scores, no_room, tmp_path):
    "Said with what is safe and what to do, by `save_detector` and by `export`"
    learn = learns[1]
    folder,learn.path = learns[0].save_detector(tmp_path/'d'),tmp_path
    learn.export()
    pickled,opt = (tmp_path/'export.pkl').read_bytes(),learn.opt
    for f in (lambda: learn.save_detector(folder), lambda: learn.save_detector(tmp_path/'new'), learn.export):
        with no_room(), pytest.raises(OSError, match=r'could be written to .*; what was there before is whole. Make room, or allow writing'): f()
    assert which(folder, scores)==0 and sorted(os.listdir(tmp_path))==['d','export.pkl'] and not left(tmp_path)
    assert (tmp_path/'export.pkl').read_bytes()==pickled and learn.opt is opt and learn.dls.train_ds is not None

def mounted(path, size):
    path.mkdir()
    return subprocess.run(['mount','-t','tmpfs','-o',f'size={size}','tmpfs',str(path)], capture_output=True).returncode==0

def test_full_disk(learns, scores, tmp_path):
    "A small disk of its own, where one may be mounted"
    disk = tmp_path/'disk'
    if not mounted(disk, '4m'): pytest.skip('no disk can be mounted here')
    try:
        folder = learns[0].save_detector(disk/'d')
        (disk/'filler').write_bytes(b'x'*(shutil.disk_usage(disk).free-40_000))
        learns[1].path = disk
        for f in (lambda: learns[1].save_detector(folder), learns[1].export):
            with pytest.raises(OSError, match='(No space left|took not all).*Make room'): f()
        assert which(folder, scores)==0 and not left(disk)
    finally: subprocess.run(['umount', '-l', str(disk)], check=True)

def test_read_only(learns, scores, tmp_path):
    "Of an ordinary user"
    for o in (tmp_path, *tmp_path.parents[:3]): os.chmod(o, 0o755)
    folder,learns[1].path = learns[0].save_detector(tmp_path/'d'),tmp_path
    with as_nobody():
        for f in (lambda: learns[1].save_detector(folder), lambda: learns[1].save_detector(tmp_path/'e'), learns[1].export):
            with pytest.raises(OSError, match='Permission denied.*Make room, or allow writing'): f()
        assert which(folder, scores)==0
    assert os.listdir(tmp_path)==['d']

def test_links(learns, tmp_path):
    "A link that somebody planted where a file is made is not written through"
    (tmp_path/'victim').write_text('mine')
    learns[0].path = tmp_path
    for o in ('export.pkl.part','.d.part'): (tmp_path/o).symlink_to(tmp_path/'victim')
    learns[0].export()
    learns[0].save_detector(tmp_path/'d')
    assert (tmp_path/'victim').read_text()=='mine' and load_learner(tmp_path/'export.pkl').labels==learns[0].labels

def test_export_elsewhere(learns, tmp_path):
    "In folders that are made, by absolute names, from a relative path"
    learn,old = learns[0],Path.cwd()
    learn.path = Path('rel')
    os.chdir(tmp_path)
    try:
        learn.export('a/b.pkl')
        learn.export(tmp_path/'c.pkl')
    finally: os.chdir(old)
    assert load_learner(tmp_path/'rel'/'a'/'b.pkl').labels==load_learner(tmp_path/'c.pkl').labels==learn.labels

def test_language_of_a_packed_folder():
    "One code stands for a list of one, as in `save_detector`; without any those of the folder stay"
    found = read_folder(packaged_path('english'))
    def _languages(languages): return packed_meta(found, [], 'rude', '1.0.0', languages=languages)['languages']
    assert [_languages(o) for o in ('es',('es','en'),None)]==[['es'],['es','en'],['en']]

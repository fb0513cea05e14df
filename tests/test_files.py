"Files and folders: whole or not at all under kills, one writer or several, and what others put there stays"
import errno,json,multiprocessing,os,shutil,signal,stat,subprocess,sys,time
from pathlib import Path

import pytest

from toxicai import files
from toxicai.files import *
from samples import as_nobody

ctx = multiprocessing.get_context('fork')

def any_folder(folder): pass

def content(folder):
    "Every file of `folder` that is not hidden, by name"
    names = [o for o in Path(folder).rglob('*') if o.is_file() and not o.is_symlink()]
    return {o.relative_to(folder).as_posix():o.read_text() for o in names if not o.relative_to(folder).as_posix().startswith('.toxicai')}

def write(folder, **texts):
    with new_folder(folder, any_folder) as new:
        for k,v in texts.items(): (new/k.replace('__', '/').replace('_', '.')).parent.mkdir(exist_ok=True); (new/k.replace('__', '/').replace('_', '.')).write_text(v)
    return Path(folder)

old,new = {'a.txt':'old a', 'b.txt':'old b', 'sub/c.txt':'old c'},{'a.txt':'new a', 'd.txt':'new d', 'sub/e.txt':'new e'}
def write_old(folder): return write(folder, a_txt='old a', b_txt='old b', sub__c_txt='old c')
def write_new(folder): return write(folder, a_txt='new a', d_txt='new d', sub__e_txt='new e')

def left(folder): return sorted(o.name for o in Path(folder).rglob('*') if '.part' in o.name or o.name==ready_name)

# Kills

calls = ('replace','rename','mkdir','unlink','rmdir','fsync','open','chmod')

def dies_in(n, f, *args):
    "Run `f` in a process that is killed before its `n`-th call that changes the disk; how it ended"
    def _work():
        left = [n]
        def _counted(g):
            def _g(*a, **k):
                left[0] -= 1
                if left[0]==0: os.kill(os.getpid(), signal.SIGKILL)
                return g(*a, **k)
            return _g
        for o in calls: setattr(os, o, _counted(getattr(os, o)))
        f(*args)
    p = ctx.Process(target=_work)
    p.start()
    p.join(60)
    return p.exitcode

def test_every_kill_of_a_folder(tmp_path):
    "Killed before any step, the next look finds the old files or the new ones, what others put there, and nothing half"
    seen,n = set(),0
    while True:
        n += 1
        folder = write_old(tmp_path/str(n))
        (folder/'mine.txt').write_text('mine')
        code = dies_in(n, write_new, folder)
        settle(folder)
        found = content(folder)
        assert found.pop('mine.txt')=='mine' and found in (old,new), (n,found)
        seen.add(found==new)
        assert written_files(folder).keys()==found.keys() and not others_in(folder, written_files(folder))
        write_new(folder)
        assert content(folder)=={**new, 'mine.txt':'mine'} and not left(folder), n
        if code==0: break
        assert code==-signal.SIGKILL
    assert seen=={True,False} and n>20

def test_every_kill_of_a_new_folder(tmp_path):
    n,code = 0,None
    while code!=0:
        n += 1
        home = tmp_path/str(n)
        code = dies_in(n, write_new, home/'f')
        if (home/'f').exists(): settle(home/'f')
        assert not (home/'f').exists() or content(home/'f') in ({},new)
        write_new(home/'f')
        assert content(home/'f')==new and os.listdir(home)==['f'] and not left(home), n

def test_every_kill_of_a_file(tmp_path):
    path,n,code = tmp_path/'a.txt',0,None
    while code!=0:
        n += 1
        path.write_text('old')
        code = dies_in(n, write_atomically, path, lambda f: f.write(b'new'))
        assert path.read_text() in ('old','new')
        write_atomically(path, lambda f: f.write(b'again'))
        assert os.listdir(tmp_path)==['a.txt'], n

@pytest.mark.parametrize('harm', ['cut','gone','no record','changed place'])
def test_damaged_commit(harm, tmp_path):
    "What a killed writer had ready is put in place only when it is whole, and only over what was written"
    folder = write_old(tmp_path/'f')
    n = 1
    while not (folder/ready_name).exists():
        shutil.rmtree(folder); write_old(folder)
        dies_in(n, write_new, folder)
        n += 1
    waiting = next(o for o in (folder/ready_name).rglob('*.txt'))
    if harm=='cut': waiting.write_text('ne')
    elif harm=='gone': waiting.unlink()
    elif harm=='no record': (folder/ready_name/record_name).unlink()
    else: (folder/'b.txt').write_text('mine')
    before = content(folder)
    if harm=='no record': settle(folder)
    else:
        with pytest.raises(OSError, match='damaged: remove' if harm!='changed place' else 'did not write'): settle(folder)
    assert content(folder)==before

# What others put there

def test_strangers_stay(tmp_path, monkeypatch):
    "A repository, scripts, links, and who stands in the folder"
    folder = write_old(tmp_path/'f')
    for o in ('.git','sub/deep'): (folder/o).mkdir()
    mine = {'.git/HEAD':'x', 'train.py':'mine', 'sub/notes.txt':'mine', 'sub/deep/d.txt':'mine'}
    for k,v in mine.items(): (folder/k).write_text(v)
    (folder/'link').symlink_to(tmp_path)
    os.chmod(folder, 0o750)
    monkeypatch.chdir(folder)
    write_new('.')
    assert content(folder)=={**new, **mine} and Path.cwd()==folder and (folder/'link').is_symlink() and stat.S_IMODE(folder.stat().st_mode)==0o750

@pytest.mark.parametrize('name', ['d.txt','sub/e.txt','b.txt','a.txt','sub'])
def test_in_the_way(name, tmp_path):
    "What was not written, or was changed since, is neither replaced nor removed: nothing is written at all"
    folder = write_old(tmp_path/'f')
    if name=='sub':
        shutil.rmtree(folder/'sub')
        (tmp_path/'elsewhere').mkdir()
        (folder/'sub').symlink_to(tmp_path/'elsewhere')
    else: (folder/name).write_text('mine')
    before = content(folder)
    with pytest.raises(FileExistsError, match='toxicai did not write, or which was changed since: move that'): write_new(folder)
    assert content(folder)==before and not left(folder) and not os.path.exists(tmp_path/'elsewhere'/'e.txt')

def test_removed_by_hand(tmp_path):
    "What is gone may be written again"
    folder = write_old(tmp_path/'f')
    for o in ('a.txt','b.txt'): (folder/o).unlink()
    write_new(folder)
    assert content(folder)==new

hostile_names = ['../evil.txt','/tmp/evil.txt','sub/../../evil.txt','..','a\\..\\b','c:evil','x/y/z.txt','',record_name,ready_name+'/a','a\0b', 'n'*300]

@pytest.mark.parametrize('name', hostile_names)
def test_hostile_record(name, tmp_path):
    "A record of somebody else leads nowhere"
    folder,ready = tmp_path/'f',tmp_path/'f'/ready_name
    ready.mkdir(parents=True)
    (ready/'a.txt').write_text('evil')
    (ready/record_name).write_text(json.dumps(dict(format=1, files={name:file_digest(ready/'a.txt')})))
    for o in (ready, folder):
        with pytest.raises(ValueError, match='is damaged: remove it'): written_files(ready)
    with pytest.raises(ValueError, match='is damaged'): settle(folder)
    assert not list(tmp_path.glob('evil*')) and os.listdir(tmp_path)==['f']

def test_ready_through_links(tmp_path):
    "Files are moved neither through a link in what is ready, nor through one at their place"
    (tmp_path/'out').mkdir()
    (tmp_path/'out'/'key').write_text('secret')
    for where in ('ready','place','link'):
        folder = tmp_path/where
        ready = folder/ready_name
        ready.mkdir(parents=True)
        if where=='ready': (ready/'sub').symlink_to(tmp_path/'out')
        elif where=='place':
            (ready/'sub').mkdir()
            (ready/'sub'/'key').write_text('secret')
            (folder/'sub').symlink_to(tmp_path/'out')
        else:
            (ready/'sub').mkdir()
            (ready/'sub'/'key').symlink_to(tmp_path/'out'/'key')
        (ready/record_name).write_text(json.dumps(dict(files={'sub/key':file_digest(tmp_path/'out'/'key')})))
        with pytest.raises(OSError): settle(folder)
        assert (tmp_path/'out'/'key').read_text()=='secret' and not (tmp_path/'out'/'key').is_symlink()

@pytest.mark.parametrize('text', ['','[]','{"files": []}','{"files": {"a": 1}}','{','['*100_000,'\xff'])
def test_damaged_record(text, tmp_path):
    folder = write_old(tmp_path/'f')
    (folder/record_name).write_text(text)
    with pytest.raises(ValueError, match='remove it, then every file of the folder counts as yours'): write_new(folder)
    assert content(folder)==old

def test_links_at_part_names(tmp_path, monkeypatch):
    "A name that somebody guessed is not written through"
    (tmp_path/'victim').write_text('mine')
    names = iter(['a'*32,'b'*32])
    (tmp_path/f'a.txt-{"a"*32}.part').symlink_to(tmp_path/'victim')
    monkeypatch.setattr(files.os, 'urandom', lambda n: bytes.fromhex(next(names)))
    with pytest.raises(FileExistsError): write_atomically(tmp_path/'a.txt', lambda f: f.write(b'x'))
    assert (tmp_path/'victim').read_text()=='mine'

def test_old_name_of_parts(tmp_path):
    "A link or a file of somebody at `name.part` is not touched"
    (tmp_path/'victim').write_text('mine')
    (tmp_path/'a.txt.part').symlink_to(tmp_path/'victim')
    write_atomically(tmp_path/'a.txt', lambda f: f.write(b'x'))
    assert (tmp_path/'victim').read_text()=='mine' and (tmp_path/'a.txt.part').is_symlink()

def test_names_like_parts(tmp_path):
    "Only names that `part_name` gives are cleared, and only files and folders"
    mine = ['a.txt.part','a.txt-1.part',f'b.txt-{"0"*32}.part',f'a.txt-{"0"*32}.part.gz',f'a.txt-{"G"*32}.part']
    for o in mine: (tmp_path/o).write_text('mine')
    os.mkfifo(tmp_path/f'a.txt-{"1"*32}.part')
    (tmp_path/f'a.txt-{"2"*32}.part').symlink_to(tmp_path/mine[0])
    (tmp_path/f'a.txt-{"3"*32}.part').write_text('half')
    write_atomically(tmp_path/'a.txt', lambda f: f.write(b'x'))
    assert {o.name for o in tmp_path.iterdir()}=={*mine, 'a.txt', f'a.txt-{"1"*32}.part', f'a.txt-{"2"*32}.part'}

def test_long_name(tmp_path):
    for o in ('ü'*120, 'x'*255): write_atomically(tmp_path/o, lambda f: f.write(b'x'))
    assert len(os.listdir(tmp_path))==2

# Who may read

@pytest.mark.parametrize('mask,files_,folders', [(0o022,0o644,0o755),(0o077,0o600,0o700),(0o002,0o664,0o775)])
def test_umask(mask, files_, folders, tmp_path):
    "The umask decides, whatever a library thinks; `private` is for the owner alone"
    before = os.umask(mask)
    try:
        with new_folder(tmp_path/'f', any_folder) as new:
            for o in 'ab': (new/o).touch(0o600)
        write_atomically(tmp_path/'a', lambda f: None)
        write_atomically(tmp_path/'b', lambda f: None, private=True)
        with whole_file(tmp_path/'c') as part:
            part.unlink()
            part.touch(0o600)
    finally: os.umask(before)
    mode = lambda o: stat.S_IMODE((tmp_path/o).stat().st_mode)
    assert [mode(o) for o in ('f','f/a','f/b','a','b','c')]==[folders,files_,files_,files_,0o600,files_] and mode(f'f/{record_name}')==files_

# Several writers

def writer(folder, name, n):
    for i in range(n): write(folder, a_txt=f'{name} {i}', b_txt=f'{name} {i}', **{f'{name}_txt':str(i)})

def test_two_writers_of_a_folder(tmp_path):
    "Whatever the order, the files that stay were written together, and every look finds such files"
    ps = [ctx.Process(target=writer, args=(tmp_path/'f', o, 25)) for o in 'xy']
    for p in ps: p.start()
    while any(p.is_alive() for p in ps): time.sleep(0.01)
    assert [p.exitcode for p in ps]==[0,0]
    found = content(tmp_path/'f')
    assert found['a.txt']==found['b.txt'] and len(found)==3 and not left(tmp_path) and os.listdir(tmp_path)==['f']

def test_writer_meets_one_half_way(tmp_path):
    "Files that another writer has put in place before its record are not taken for a stranger's"
    folder = write(tmp_path/'f', a_txt='0', b_txt='0')
    def _slow():
        quick = os.replace
        def _replace(a, b):
            quick(a, b)
            if str(b).endswith('a.txt'): time.sleep(0.5)
        os.replace = _replace
        write(folder, a_txt='1', b_txt='1')
    p = ctx.Process(target=_slow)
    def _start_it(folder): # which `new_folder` calls after its first look
        if p.pid is None: p.start()
        while (folder/'a.txt').read_text()=='0': time.sleep(0.01)
    with new_folder(folder, _start_it) as new:
        for o in 'ab': (new/f'{o}.txt').write_text('2')
    p.join()
    assert p.exitcode==0 and content(folder)=={'a.txt':'2', 'b.txt':'2'}

def test_stamp_of_a_reader(tmp_path):
    "Two files that were read between equal stamps belong together"
    folder = write(tmp_path/'f', a_txt='0', b_txt='0')
    p = ctx.Process(target=writer, args=(folder, 'x', 40))
    p.start()
    n = same = 0
    while p.is_alive():
        stamp = written_stamp(folder)
        if stamp[1]: continue
        try: a,b = (folder/'a.txt').read_text(),(folder/'b.txt').read_text()
        except FileNotFoundError: continue
        if written_stamp(folder)!=stamp: continue
        n,same = n+1,same+(a==b)
    assert n==same>0 and p.exitcode==0

def file_writer(path, o, n):
    for i in range(n): write_atomically(path, lambda f: f.write(o*20_000))

def test_two_writers_of_a_file(tmp_path):
    ps = [ctx.Process(target=file_writer, args=(tmp_path/'a', o, 60)) for o in (b'x',b'y')]
    for p in ps: p.start()
    while any(p.is_alive() for p in ps):
        if (tmp_path/'a').exists(): assert (tmp_path/'a').read_bytes() in (b'x'*20_000,b'y'*20_000)
    assert [p.exitcode for p in ps]==[0,0] and os.listdir(tmp_path)==['a']

def test_a_living_writer_keeps_its_part(tmp_path):
    with whole_file(tmp_path/'a') as part:
        part.write_text('first')
        assert not dies_in(0, write_atomically, tmp_path/'a', lambda f: f.write(b'second'))
        assert part.read_text()=='first'
    assert (tmp_path/'a').read_text()=='first'

# A disk that takes nothing

def test_full_disk_by_size(tmp_path):
    "In a process of its own, as the limit stays"
    code = ("import resource,sys; from pathlib import Path; from toxicai.files import *\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "f = Path(sys.argv[1])\n"
            "try:\n"
            "    with new_folder(f, lambda o: None) as new: (new/'a.txt').write_text('x'*5000)\n"
            "except OSError as e: print(e)")
    folder = write_old(tmp_path/'f')
    out = subprocess.run([sys.executable, '-c', code, str(folder)], capture_output=True, text=True, check=True).stdout
    assert 'File too large' in out and 'what was there before is whole. Make room, or allow writing' in out
    assert content(folder)==old and not left(folder)

refusals = {'no space':OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 'quota':OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
            'read-only':OSError(errno.EROFS, os.strerror(errno.EROFS)), 'not allowed':PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
            'safetensors':Exception('Error while serializing: I/O error: No space left on device (os error 28)'),
            'torch':RuntimeError('[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0')}

@pytest.mark.parametrize('name', refusals)
def test_refusals(name, tmp_path):
    folder = write_old(tmp_path/'f')
    with pytest.raises(OSError, match=r"no files could be written to '.*f' \(.+\); what was there before is whole. Make room"), new_folder(folder, any_folder): raise refusals[name]
    assert content(folder)==old and not left(folder)

@pytest.mark.parametrize('e', [ValueError('no such class'), OSError('something else'), FileNotFoundError(2, 'No such file'), KeyboardInterrupt(), RuntimeError('shapes differ')], ids=repr)
def test_no_refusal(e, tmp_path):
    "What is about something else stays as it is"
    with pytest.raises(type(e)) as got, new_folder(tmp_path/'f', any_folder): raise e
    assert got.value is e and not os.listdir(tmp_path)

@pytest.fixture
def open_path(tmp_path):
    "A folder that an ordinary user reaches"
    for o in (tmp_path, *tmp_path.parents):
        if o.stat().st_uid==os.getuid() and o!=Path('/') and o!=Path('/tmp'): os.chmod(o, o.stat().st_mode | 0o055)
    return tmp_path

def test_read_only(open_path):
    "Of an ordinary user: said, nothing changed, and a commit of somebody else is not lost"
    folder = write_old(open_path/'f')
    with as_nobody():
        with pytest.raises(OSError, match='Permission denied.*Make room, or allow writing'): write_new(folder)
        with pytest.raises(OSError, match='Permission denied'): write_atomically(folder/'a.txt', lambda f: f.write(b'x'))
        with pytest.raises(OSError, match='Permission denied'): write_new(open_path/'g')
        settle(folder)
    assert content(folder)==old
    n = 1
    while not (folder/ready_name).exists():
        dies_in(n, write_new, folder)
        n += 1
    with as_nobody(), pytest.raises(OSError, match='whoever opens the folder and may write to it puts them in place'): settle(folder)
    settle(folder)
    assert content(folder)==new

# What strangers left as if a writer had been killed

def forged(folder, files, **more):
    "A folder with a `.toxicai-ready` whose record has `files`"
    ready = folder/ready_name
    ready.mkdir(parents=True)
    (ready/record_name).write_text(json.dumps(dict(format=1, files=files)))
    return ready

def test_forged_amount(tmp_path):
    "A hole of a terabyte is not digested where the amount has a bound"
    for where in ('ready','place'):
        ready = forged(tmp_path/where, {'big':'0'*64})
        for o in {ready, tmp_path/where if where=='place' else ready}: (o/'big').touch()
        os.truncate((ready if where=='ready' else tmp_path/where)/'big', 2**40)
        with pytest.raises(FileExistsError, match='1,099,511,627,776 bytes to compare.*settle'): settle(tmp_path/where, most=2**33)

def test_forged_record(tmp_path):
    "A record of gigabytes is not read, and names that no disk has are none"
    ready = forged(tmp_path/'f', {})
    os.truncate(ready/record_name, 2**40)
    with pytest.raises(ValueError, match='is damaged: remove it'): settle(tmp_path/'f')
    assert is_inner_name('é'*127) and not is_inner_name('é'*128) and not is_inner_name('a/'+'😀'*64)
    ready = forged(tmp_path/'g', {'😀'*200:'0'*64})
    with pytest.raises(ValueError, match='is damaged: remove it'): settle(tmp_path/'g')

"Silence ends with the block: filters, hooks and bars of others are what they were, also after an error"
import logging,subprocess,sys,warnings

import pytest,transformers
from transformers.utils import logging as tf_log

from toxicai.quiet import *

def hook_now(): # The hook of transformers' bars
    hook = tf_log.set_tqdm_hook(None)
    tf_log.set_tqdm_hook(hook)
    return hook

def things(): return list(warnings.filters),hook_now(),tf_log.is_progress_bar_enabled(),tf_log.get_verbosity(),list(logging.getLogger('transformers.modeling_utils').filters)

@pytest.mark.parametrize('fails', [False,True])
def test_as_before(fails):
    before = things()
    try:
        with quiet_transformers():
            with quiet_transformers(): assert hook_now() is not None
            if fails: raise KeyError('x')
    except KeyError: pass
    assert things()==before

def test_hook_of_mine():
    "A hook of the user's still sees the bars, and is there afterwards"
    seen = []
    def mine(factory, args, kwargs):
        seen.append((kwargs.get('desc'), kwargs.get('disable')))
        return factory(*args, **kwargs)
    tf_log.set_tqdm_hook(mine)
    try:
        with quiet_transformers():
            list(tf_log.tqdm(range(2), desc='Loading weights'))
            list(tf_log.tqdm(range(2), desc='Downloading', disable=True))
        assert seen==[('Loading weights',True),('Downloading',True)] and hook_now() is mine
    finally: tf_log.set_tqdm_hook(None)

@pytest.mark.parametrize('text,shown', [('BertModel LOAD REPORT from: x\nMISSING', False), ('LOAD REPORT\nCONVERSION failed', True), ('a tokenizer that is wrong', True)])
def test_is_news(text, shown):
    assert is_news(logging.LogRecord('x', logging.WARNING, 'f', 1, '%s', (text,), None)) is shown

def test_older_transformers():
    class Log:
        on = True
        def is_progress_bar_enabled(self): return self.on
        def disable_progress_bar(self): self.on = False
        def enable_progress_bar(self): self.on = True
    for on in (True,False):
        log = Log(); log.on = on
        with no_bars_at_all(log): assert not log.on
        assert log.on is on

def test_warning_is_a_line(tmp_path):
    "One line on stderr, without a line of code beneath it; the same one comes once, as Python does by default"
    code = "from toxicai.quiet import *\nfor o in 'aab': warn_in_line(f'the class {o}')"
    res = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert res.stderr.splitlines()==[f'toxicai:1: UserWarning: the class {o}' for o in 'ab']

def test_warning_is_an_error_for_who_wants():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(UserWarning, match='odd rows'): warn_in_line('odd rows')

def test_say_once(capsys):
    for about in ('a','a','b'): say_once('a line of this test', about)
    assert capsys.readouterr().out=='a line of this test\n'*2

def test_imports_are_quiet():
    "`toxicai.all` says nothing, even to who sees every warning of others' insides"
    res = subprocess.run([sys.executable, '-W', 'error::FutureWarning', '-c', 'from toxicai.all import *'], capture_output=True, text=True)
    assert not res.returncode and res.stderr=='', res.stderr

def shown_lines(fails=False):
    "What three runs warn of, between which filters change, as in any library"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        for i in range(3):
            with warnings.catch_warnings(): warnings.simplefilter('always')
            warn_in_line('texts are cut')
            warn_in_line(f'run {i}')
    return [str(o.message) for o in said]

def test_once_in_a_block():
    "The same warning comes once in a block, others come, and after it all is as before"
    assert shown_lines().count('texts are cut')==3
    with warned_once():
        assert shown_lines()==['texts are cut','run 0','run 1','run 2']
        with warned_once(): assert shown_lines()==[]
    with pytest.raises(KeyError), warned_once(): raise KeyError
    assert shown_lines().count('texts are cut')==3

def test_a_warning_can_stop_the_block():
    with warnings.catch_warnings(), warned_once(), pytest.raises(UserWarning):
        warnings.simplefilter('error')
        warn_in_line('texts are cut')

@pytest.mark.parametrize('n,size,shown', [(160,4096,''), (0,8,''), (9,4,'9/9'), (8,4,'8/8')])
def test_a_bar_counts_rows(n, size, shown, monkeypatch, capsys):
    "A bar is for several chunks, and its end is the number of rows, not of whole chunks"
    import tqdm.auto
    class AtOnce(tqdm.auto.tqdm):
        def __init__(self, *args, **kwargs): super().__init__(*args, **{**kwargs, 'delay':0, 'mininterval':0, 'miniters':1, 'leave':True})
    monkeypatch.setattr(tqdm.auto, 'tqdm', AtOnce)
    rows = list(range(n))
    assert [o for s in shown_chunks(n, size, 'counting') for o in rows[s]]==rows
    err = capsys.readouterr().err
    assert (shown in err and 'counting' in err) if shown else err==''
    assert sum(s.stop-s.start for s in shown_chunks(n, size, 'counting', show=False))==n and capsys.readouterr().err==''

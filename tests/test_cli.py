"The command line: exit codes, streams, options that reach what they name, and what a cold process imports"
import io,json,os,shlex,signal,subprocess,sys,time,warnings
from inspect import signature
from pathlib import Path

import click,numpy as np,pandas as pd,pytest,yaml
from hypothesis import HealthCheck,given,settings,strategies as st
from toxicai.all import *
from toxicai.cli import *
from toxicai.cli import VerbOptions,cli,documented,option_comment,option_words,train_arguments,verbs
from toxicai.data.load import load_comments
from toxicai.test_utils import *

root = Path(__file__).resolve().parent.parent
program = [sys.executable, '-c', 'from toxicai.cli import main; main()']

@pytest.fixture(scope='module')
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp('table')/'comments.csv'
    comments(48).to_csv(path, index=False)
    return path

@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    "A detector that flags `insult` in every text and `toxic` in none"
    dls = ToxicityDataLoaders.from_df(comments(), tiny_checkpoint(), text_col='text', label_cols=['toxic','insult'], bs=8)
    learn = toxicity_learner(dls)
    learn.labels = learn.labels.with_thresholds([0.999,0.001])
    return learn.save_detector(tmp_path_factory.mktemp('detector')/'tiny', onnx=True)

@pytest.fixture
def run(capfd, monkeypatch):
    "Run a command in this process: its exit code, stdout and stderr"
    def _run(*args, stdin=None):
        if stdin is not None: monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = run_cli(list(map(str, args)))
        return code,*capfd.readouterr()
    return _run

def process(*args, env=None, **kwargs):
    "Run a command in a process of its own"
    env = {**os.environ, 'PYTHONPATH':str(root), **(env or {})}
    return subprocess.run([*program, *map(str, args)], capture_output=True, text=True, env=env, timeout=120, **kwargs)

# What a cold process imports

def imported_by(*args):
    code = "import sys; from toxicai.cli import run_cli; run_cli(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    res = subprocess.run([sys.executable, '-c', code, *map(str, args)], capture_output=True, text=True, env={**os.environ, 'PYTHONPATH':str(root)})
    return res.stdout,set(res.stderr.split())

@pytest.mark.parametrize('args', [['--help'], ['train','--help'], ['data','--help'], ['completion','zsh']], ids=' '.join)
def test_help_imports_nothing(args):
    out,found = imported_by(*args)
    assert out and not found & {'numpy','torch','pandas','fastai','transformers','yaml','tokenizers'}

def test_predict_imports_little(folder):
    out,found = imported_by('predict', 'you are an idiot', '--detector', folder)
    assert 'insult' in out and 'onnxruntime' in found
    assert not found & {'torch','pandas','fastai','transformers','datasets','matplotlib','sklearn'}

# Help

def all_commands(group=cli):
    for name in group.list_commands(None):
        o = group.get_command(None, name)
        if isinstance(o, click.Group): yield from all_commands(o)
        else: yield group.prefix+name,o

@pytest.mark.parametrize('name,command', list(all_commands()), ids=lambda o: o if isinstance(o, str) else '')
def test_every_option_is_explained(name, command):
    "In words of the command line, under one flag alone"
    ops = [o for o in command.params if isinstance(o, click.Option)]
    flags = [f for o in ops for f in (*o.opts,*o.secondary_opts)]
    assert len(flags)==len(set(flags)) and flags[-1]
    assert not [o.name for o in ops if not o.help or 'learn.' in o.help or '`' in o.help or '<factory>' in o.help]
    assert all(doc for p,doc in command.own if isinstance(p, click.Argument))
    assert command.help and not command.help.endswith('.')

@pytest.mark.parametrize('command,option,says', [
    ('convert','kind','do the classes exclude each other'), ('check','backend','that of the stored scores'),
    ('tune','use','they become those of the folder'), ('demo','epochs','after one with the head alone [3]'),
    ('serve','threads','a share of the cores'), ('predict','threads','all that the process may use'),
    ('train','kind','single, multi, soft or ordinal'), ('train','label_delim',"such as ',' or '|'"), ('train','lazy','do not fit the memory')])
def test_option_is_that_of_its_command(command, option, says):
    "One name may mean different things in two functions"
    ops = {o.name:o.help for o in cli.get_command(None, command).params if isinstance(o, click.Option)}
    assert says in ops[option] and not ops[option].endswith('?')

@pytest.mark.parametrize('line, folder, detectors', [
    ([], 'english', None), (['mine'], 'mine', None), (['--detector','de=d'], 'english', dict(de='d')),
    (['--detector','en=english','--detector','*=multilingual'], None, {'en':'english', '*':'multilingual'}),
    (['mine','--detector','{"de": "d", "fr": "f"}'], 'mine', dict(de='d', fr='f'))])
def test_detectors_of_a_service(monkeypatch, line, folder, detectors):
    "One for each language; English for all others, unless `*` names another"
    import toxicai.serve.running as running
    seen = []
    monkeypatch.setattr(running, 'run_service', lambda *args, **kwargs: seen.append((*args, kwargs.get('detectors'))))
    run_cli(['serve', *line])
    assert seen==[(folder,detectors)]

def test_detectors_that_are_no_pairs(run):
    for line,says in ((['--detector','en'],"'en' is no name=value"), (['--detector','en=a','--detector','en=b'],'en came twice')):
        code,_,err = run('serve', *line)
        assert code==2 and says in err

def test_comments_stand_once():
    "A comment that is right on the command line is not written again"
    sources = [o for place in verbs.values() for o in place.sources if isinstance(o, VerbOptions)]
    args = [o for place in sources for o in documented(place.place).values()]
    args += [o for group in train_arguments().values() for o in group.values()]
    for k,words in option_words.items(): assert {option_comment(o.doc) for o in args if o.name==k}!={words}, k

def test_commands():
    "Those of the issue, each in the list of the help"
    wanted = 'train evaluate predict score explain tune export convert sweep info serve demo compare match check completion'.split()
    found = [k for k,_ in all_commands()]
    of_groups = [*[f'data {o}' for o in ('catalog','describe','duplicates','leakage')], 'store list', 'store remove']
    assert {*wanted, *of_groups}==set(found)
    out = process('--help').stdout
    assert all(f'\n  {o} ' in out for o in [*wanted,'data','store']) and all(f'{k}  {v}' in out for k,v in exit_codes.items())

def test_completion():
    env = dict(_TOXICAI_COMPLETE='bash_complete', COMP_WORDS='toxicai tr', COMP_CWORD='1')
    res = process(env=env)
    assert (res.returncode,res.stdout)==(0,'plain,train\n')
    assert 'plain,--fail-on' in process(env={**env, 'COMP_WORDS':'toxicai predict --fa', 'COMP_CWORD':'2'}).stdout

@pytest.mark.parametrize('args', [(), ('predict',), ('data',), ('data','describe')], ids=' '.join)
def test_short_help(run, args): assert run(*args, '-h')==run(*args, '--help')

def test_as_a_module():
    "`python -m toxicai` is the program, and importing what it runs imports nothing heavy"
    say = lambda *args: subprocess.run([sys.executable, '-m', 'toxicai', *args], capture_output=True, text=True, cwd=root)
    assert say('--version').stdout==process('--version').stdout!=''
    res = say('predikt')
    assert res.returncode==2 and "did you mean 'predict'" in res.stderr and 'Usage: toxicai' in res.stderr

def test_version(run):
    import toxicai
    assert run('--version')==(0, f'toxicai {toxicai.__version__}\n', '')

# Exit codes

wrong = [
    (2, ['predikt'], "did you mean 'predict'"), (2, ['data','descrbe','x'], "did you mean 'describe'"), (2, [], ''),
    (2, ['predict','x','--threads','many'], "'many' is no integer"), (2, ['predict','x','--batch','0'], 'less than 1'),
    (2, ['predict','x','--detectr','y'], '--detector'), (2, ['predict','x','--file','y'], 'expected one of them'),
    (2, ['predict','--file','x','--encoding','utf-9'], "no encoding 'utf-9'"), (2, ['score','x'], 'Missing argument'),
    (2, ['completion','tcsh'], 'bash, zsh, fish'), (2, ['train'], 'nothing to learn from'),
    (3, ['predict','--file','no_such.txt'], 'no_such.txt: No such file'), (3, ['data','describe','no_such.csv'], "'no_such.csv'"),
    (3, ['train','no_such.csv'], "'no_such.csv'"), (4, ['predict','x','--detector','no_such'], "'no_such'"),
    (2, ['train','x.csv','--opt-func','json:nothing'], 'expected module:name'), (2, ['train','x.csv','--config','no_such.yaml'], 'no_such.yaml: No such file')]

@pytest.mark.parametrize('code,args,says', wrong, ids=[' '.join(o[1]) or 'nothing' for o in wrong])
def test_wrong(run, monkeypatch, tmp_path, code, args, says):
    "One line on stderr that says what to do, nothing on stdout; the same as JSON"
    monkeypatch.chdir(tmp_path)
    got,out,err = run(*args)
    assert (got,out)==(code,'') and says in err and 'Traceback' not in err
    if not args: return
    got,out,err = run(*args, '--json')
    assert (got,out)==(code,'') and says in json.loads(err.splitlines()[-1])['error']

def test_options_of_the_engine(run, folder):
    code,out,err = run('predict', 'x', '--detector', folder, '--backend', 'onx')
    assert (code,out)==(4,'') and "no backend is called 'onx'" in err

@pytest.mark.parametrize('names,code', [('insult',1), ('toxic',0), ('any',1), ('block',1), ('toxic, insult',1), ('insullt',2)])
def test_fail_on(run, folder, names, code):
    got,out,err = run('predict', 'a', 'b', '--detector', folder, '--fail-on', names)
    assert got==code and len(out.splitlines())==(0 if code==2 else 2)
    if code==2: assert "did you mean 'insult'" in err

def test_flag_without_fail_on(run, folder): assert run('predict', 'a', '--detector', folder)[0]==0

def test_fault(run, monkeypatch):
    "A fault of ours is not the exit code of a flag"
    monkeypatch.setattr('toxicai.cli.opened_detector', lambda *a,**k: 1/0)
    code,out,err = run('predict', 'x')
    assert code==70 and 'ZeroDivisionError' in err

def test_type_error_of_python(run, monkeypatch):
    def _call(): raise TypeError('`x` is a list: expected a text')
    with pytest.raises(Trouble, match='expected a text'), exits_with(3): _call()
    with pytest.raises(TypeError), exits_with(3): len(3)

# Streams

def test_json_lines(run, folder):
    code,out,err = run('predict', 'you idiot', ' ', '--detector', folder, '--json')
    first,blank = map(json.loads, out.splitlines())
    assert first['text']=='you idiot' and first['flags']==['insult'] and first['decision']=='block'
    scores = Detector(folder)(['you idiot']).scores[0]
    assert list(first['scores'].values())==pytest.approx(scores.tolist(), abs=1e-6)
    assert blank['scores'] is None and blank['reason']=='empty' and blank['flags']==[]

def test_stdin(run, folder):
    "The last line may lack its end; a byte order mark is no letter; Windows has its own line ends"
    code,out,err = run('predict', '--detector', folder, '--json', stdin=b'\xef\xbb\xbfone\r\ntwo')
    assert code==0 and [json.loads(o)['text'] for o in out.splitlines()]==['one','two']
    code,out,err = run('predict', '--detector', folder, '--encoding', 'latin-1', '--json', stdin='café'.encode('latin-1'))
    assert json.loads(out)['text']=='café'

def test_broken_stdin(run, folder):
    "All lines before the broken one are answered"
    lines = [b'fine']*70+[b'caf\xe9','last'.encode()]
    code,out,err = run('predict', '--detector', folder, stdin=b'\n'.join(lines))
    assert code==3 and len(out.splitlines())==70 and 'line 71 of stdin is not utf-8' in err and '--encoding' in err

@pytest.mark.parametrize('encoding', ['utf-16','utf-16-be','utf-32'])
def test_wide_encodings(run, folder, tmp_path, encoding):
    "A line may hold the byte of a line's end within a letter; what is cut or of another encoding says so"
    lines = ['one Ċ ਊ','два','😀 three']
    (tmp_path/'a.txt').write_bytes('\r\n'.join(lines).encode(encoding))
    code,out,err = run('predict', '--detector', folder, '--file', tmp_path/'a.txt', '--encoding', encoding, '--json')
    assert code==0 and [json.loads(o)['text'] for o in out.splitlines()]==lines, err
    (tmp_path/'a.txt').write_bytes('a few words'.encode(encoding)[:-1])
    code,out,err = run('predict', '--detector', folder, '--file', tmp_path/'a.txt', '--encoding', encoding)
    assert code==3 and f'a.txt is not {encoding}' in err and 'Traceback' not in err

def test_likely_encodings(run, folder):
    for encoding in ('utf-16','latin-1'):
        code,out,err = run('predict', '--detector', folder, stdin='très bien'.encode(encoding))
        assert code==3 and f'such as --encoding {encoding}' in err, err

def test_comments_that_are_files(run, folder, tmp_path, monkeypatch):
    "The name of a file is a comment, and that is said; a lone - is stdin, as for `score`"
    monkeypatch.chdir(tmp_path)
    (tmp_path/'notes.txt').write_text('one\ntwo\n')
    with pytest.warns(UserWarning, match='--file notes.txt judges its lines'): code,out,err = run('predict', '--detector', folder, 'notes.txt', '--json')
    assert code==0 and json.loads(out)['text']=='notes.txt'
    others = ['notes','-','.','x'*5000,'\udc80','\0']
    with warnings.catch_warnings(action='error'): assert named_files(others)==others
    code,out,err = run('predict', '--detector', folder, '-', '--json', stdin=b'one\ntwo\n')
    assert [json.loads(o)['text'] for o in out.splitlines()]==['one','two'] and not err

@pytest.mark.parametrize('encoding', ['base64','rot13','hex','zlib','utf-9',''])
def test_encodings_that_are_none_of_text(run, folder, tmp_path, encoding):
    (tmp_path/'a.txt').write_text('one')
    code,out,err = run('predict', '--detector', folder, '--file', tmp_path/'a.txt', '--encoding', encoding)
    assert code==2 and f'no encoding {encoding!r}' in err and 'Traceback' not in err

@pytest.mark.parametrize('name,warns', [('a.csv',True), ('a.JSONL',True), ('a.tsv.gz',True), ('a.txt',False), ('a',False), ('a.log',False)])
def test_files_with_columns(tmp_path, name, warns):
    (tmp_path/name).touch()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter('always')
        line_file(str(tmp_path/name)).close()
    assert ['toxicai score' in str(o.message) for o in found]==[True]*warns

@pytest.mark.parametrize('args', [['--help'], ['info'], ['predict','a'], ['predict','a','--json']], ids=' '.join)
def test_full_disk_under_stdout(folder, args):
    "One line, and not the exit code of a fault or of a flag"
    more = [] if args==['--help'] else [str(folder)] if args==['info'] else ['--detector',str(folder)]
    with open('/dev/full', 'w') as full:
        res = subprocess.run([*program, *args, *more], stdout=full, stderr=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH':str(root)})
    assert res.returncode==3 and 'output cannot be written: No space left' in res.stderr and len(res.stderr.splitlines())==1

@pytest.mark.parametrize('closed,code,says', [('<&-',3,'stdin is empty'), ('a >&-',3,'stdout is closed'), ('a 2>&-',0,''), ('a <&-',0,'')])
def test_closed_streams(folder, closed, code, says):
    line = f'{sys.executable} -m toxicai predict --detector {folder} {closed}'
    res = subprocess.run(['sh','-c',line], capture_output=True, text=True, cwd=root)
    assert res.returncode==code and says in res.stderr and 'Traceback' not in res.stderr

@pytest.mark.parametrize('encoding', ['ascii','latin-1','cp1252','utf-8'])
def test_json_in_any_encoding(folder, encoding):
    "What a terminal has no letters for is still JSON"
    text = 'café 😀 ž'
    out = subprocess.run([*program, 'predict', text, '--json', '--detector', str(folder)], capture_output=True,
                         env={**os.environ, 'PYTHONPATH':str(root), 'PYTHONIOENCODING':encoding}).stdout
    assert json.loads(out.decode(encoding))['text']==text

@pytest.mark.parametrize('message,says', [
    ("with `label_cols=`, or `label_cols=[]`", "with --labels, or --labels []"), ("`text_col='x'`", "--text 'x'"),
    ("`columns={'a': \"it's\"}`", "--columns "+shlex.quote('{"a": "it\'s"}')), ("`columns={a: 1}`", "--columns {a: 1}"), ("`open_=True`", '--open'),
    ("`f(x=1)` and `x==1`", "`f(x=1)` and `x==1`")])
def test_arguments_in_messages(message, says): assert with_options(message)==says

def test_no_such_port(run, folder):
    for o in ('65536','99999','-1'):
        code,out,err = run('serve', folder, '--port', o)
        assert code==4 and f'the port is {o}' in err and not out

def test_empty_stdin(run, folder):
    code,out,err = run('predict', '--detector', folder, stdin=b'')
    assert (code,out)==(3,'') and 'stdin is empty' in err

def test_odd_characters(run, folder):
    "Half a character, and what would move the cursor, are shown as something that prints"
    code,out,err = run('predict', 'a \x1b[2J b', 'half \ud800', '--detector', folder)
    assert code==0 and '\x1b' not in out and len(out.splitlines())==2
    assert json.loads(run('predict', 'half \ud800', '--detector', folder, '--json')[1])['text']=='half \ud800'

def test_colours(run, folder, monkeypatch):
    "On a terminal alone, and off by NO_COLOR"
    monkeypatch.setattr('click.utils.should_strip_ansi', lambda stream=None, color=None: color is False)
    monkeypatch.setattr('click._compat.should_strip_ansi', lambda stream=None, color=None: color is False)
    monkeypatch.delenv('NO_COLOR', raising=False)
    assert '\x1b[31m' in run('predict', 'x', '--detector', folder)[1]
    monkeypatch.setenv('NO_COLOR', '1')
    assert '\x1b' not in run('predict', 'x', '--detector', folder)[1]

def test_no_colour_in_a_pipe(folder): assert '\x1b' not in process('predict', 'x', '--detector', folder).stdout

def test_closed_pipe(folder, tmp_path):
    "`| head -1` is quiet, and no flag"
    file = tmp_path/'many.txt'
    file.write_text('you idiot\n'*20_000)
    p = subprocess.Popen([*program, 'predict', '--detector', folder, '--file', file], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, env={**os.environ, 'PYTHONPATH':str(root)})
    assert p.stdout.readline().startswith(b'block')
    p.stdout.close()
    assert (p.stderr.read(),p.wait(60))==(b'',141)

def test_line_by_line_and_ctrl_c(folder):
    "With --batch 1 a line is answered before the next; Ctrl-C ends without a traceback"
    p = subprocess.Popen([*program, 'predict', '--detector', folder, '--batch', '1'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH':str(root), 'PYTHONUNBUFFERED':'1'})
    for o in ('one','two'):
        p.stdin.write(o+'\n')
        p.stdin.flush()
        assert p.stdout.readline().endswith(f'  {o}\n')
    p.send_signal(signal.SIGINT)
    assert p.wait(60)==130 and p.stderr.read().strip()==''

# Options

def option_names(): return {o for args in train_arguments().values() for o in args}

other_ways = dict(df='DATA', csv='DATA', source='DATA', dls='made of DATA', vocab='classes', seed='seed', loss_func='loss', hub='revision, cache_dir, ...')
python_alone = {'cbs','kwargs','cls'} # functions; named ones are module:name

@pytest.mark.parametrize('f', [ToxicityDataLoaders.from_df, ToxicityDataLoaders.from_csv, toxicity_learner, load_comments], ids=lambda o: o.__name__)
def test_train_reaches_every_option(f): assert set(signature(f).parameters)-option_names()-{*other_ways}<=python_alone

def test_train_reaches_every_setting(): assert set(sweepable)<=option_names()

def test_settings_are_those_of_the_table():
    "What is read from the source is what is imported"
    found = {k:o for args in sweep_arguments().values() for k,o in args.items()}
    assert {k:o.doc for k,o in found.items()}=={k:o.doc for k,o in sweepable.items()}
    assert all((o.kind in ('int','float'))==(sweepable[k].takes in ((int,),(float,)) and not sweepable[k].among) for k,o in found.items())

def trained(run, table, out, *args):
    small = ('--text','text','--labels','toxic,insult','--checkpoint',tiny_checkpoint(),'--no-onnx')
    code,stdout,err = run('train', table, *small, '--out', out, '--json', *args)
    assert code==0, err
    return json.loads(stdout)

def test_train(run, table, tmp_path, monkeypatch):
    "Options reach loaders, network, loss and fit; the stored settings repeat the training"
    monkeypatch.chdir(tmp_path)
    res = trained(run, table, 'model', '--bs', '5', '--valid-pct', '0.25', '--lr', '3e-3', '--label-smoothing', '0.1', '--max-length', '9',
                  '--clip', 'null', '--pickle', 'learn.pkl', '--report', 'report.html')
    assert res['texts']==dict(training=36, validation=12) and res['classes']==['toxic','insult'] and 'valid/loss' in res['metrics']
    stored = yaml.safe_load((tmp_path/'model'/'settings.yaml').read_text())
    assert {k:stored[k] for k in ('bs','lr','label_smoothing','wd','epochs','seed')}==dict(bs=5, lr=3e-3, label_smoothing=0.1, wd=0.01, epochs=1, seed=42)
    assert 'token' not in stored and stored['data']==str(table) and read_folder('model').text['max_length']==9
    assert (tmp_path/'learn.pkl').stat().st_size and '<html' in (tmp_path/'report.html').read_text()
    code,out,err = run('train', '--config', 'model/settings.yaml', '--out', 'again', '--no-onnx', '--clip', 'null')
    assert code==0 and 'toxicai predict --detector again' in out
    texts = ['you are an idiot','thank you']
    assert np.array_equal(Detector('model').scores(texts), Detector('again').scores(texts))

def test_train_writes_lines_in_a_pipe(run, table, tmp_path):
    "Epochs go to stderr, the result to stdout"
    code,out,err = run('train', table, '--text', 'text', '--labels', 'toxic', '--checkpoint', tiny_checkpoint(), '--out', tmp_path/'m', '--epochs', '2', '--no-onnx')
    assert code==0 and len([o for o in err.splitlines() if o.endswith('00:00')])==3 and '\r' not in err and '00:00' not in out

def test_command_line_before_the_file(run, table, tmp_path):
    (tmp_path/'s.yaml').write_text(f'text: text\nlabels: [toxic]\nbs: 4\nepochs: 1\ncheckpoint: {tiny_checkpoint()}\nonnx: false\nout: {tmp_path/"m"}\ndata: {table}\n')
    code,out,err = run('train', '--config', tmp_path/'s.yaml', '--bs', '6', '--json')
    assert code==0 and json.loads(out)['settings']['bs']==6 and (tmp_path/'m'/'toxicai.json').is_file()

bad_training = [(2, {'bs: x':None}, "'bs' has the value 'x'"), (2, {'epoch: 3':None}, "did you mean 'epochs'"), (2, {'loss: nope':None}, "'loss' has the value 'nope'"),
                (2, {'- a':None}, 'no settings'), (3, {'labels: toxik':None}, "did you mean 'toxic'"), (4, {'checkpoint: /no/such':None}, "'/no/such'")]

@pytest.mark.parametrize('code,lines,says', bad_training, ids=[next(iter(o[1])) for o in bad_training])
def test_bad_training(run, table, tmp_path, code, lines, says):
    (tmp_path/'s.yaml').write_text('\n'.join(lines))
    more = [] if any('checkpoint' in o for o in lines) else ['--checkpoint', tiny_checkpoint()]
    more += [] if any('labels' in o for o in lines) else ['--labels', 'toxic']
    got,out,err = run('train', table, '--text', 'text', '--config', tmp_path/'s.yaml', '--out', tmp_path/'m', *more)
    assert (got,out)==(code,'') and says in err and not (tmp_path/'m').exists()

def test_train_keeps_what_is_there(run, table, tmp_path):
    (tmp_path/'mine.txt').write_text('mine')
    code,out,err = run('train', table, '--out', tmp_path)
    assert code==3 and 'is not a detector folder' in err and os.listdir(tmp_path)==['mine.txt']

# Folders of others

@pytest.fixture(scope='module', params=['multi','single'])
def classifier(request, tmp_path_factory):
    import torch
    from transformers import AutoModelForSequenceClassification
    from toxicai.test_utils import tiny_config
    path,config = tmp_path_factory.mktemp('classifier'),tiny_config('bert')
    config.id2label,config.label2id = {0:'fine',1:'rude'},{'fine':0,'rude':1}
    if request.param=='multi': config.id2label,config.label2id = {0:'insult',1:'threat',2:'other'},{'insult':0,'threat':1,'other':2}
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(path)
    tiny_tokenizer('bert').save_pretrained(path)
    return request.param,path,model.eval()

def test_convert(run, classifier, tmp_path):
    "The same probabilities as transformers gives; nothing is claimed about data or figures"
    import torch
    kind,path,model = classifier
    if kind=='multi':
        code,out,err = run('convert', path, tmp_path/'no')
        assert code==4 and '--kind single or --kind multi' in err and not (tmp_path/'no').exists()
    code,out,err = run('convert', path, tmp_path/'d', '--kind', kind, '--clean', 'other' if kind=='multi' else 'fine')
    assert code==0, err
    texts = ['you are an idiot','thank you']
    with torch.no_grad(): logits = model(**tiny_tokenizer('bert')(texts, padding=True, return_tensors='pt')).logits
    probs = logits.softmax(1) if kind=='single' else logits.sigmoid()
    assert np.abs(Detector(tmp_path/'d').scores(texts)-probs.numpy()).max()<1e-5
    assert not read_folder(tmp_path/'d').data and not read_folder(tmp_path/'d').metrics

def test_export(run, table, tmp_path):
    trained(run, table, tmp_path/'m', '--pickle', tmp_path/'l.pkl')
    code,out,err = run('export', tmp_path/'l.pkl', tmp_path/'again', '--license', 'mit')
    assert code==0 and 'license: mit' in (tmp_path/'again'/'README.md').read_text()
    assert np.array_equal(Detector(tmp_path/'m').scores(['a']), Detector(tmp_path/'again').scores(['a']))
    code,out,err = run('evaluate', table, '--detector', tmp_path/'l.pkl', '--text', 'text', '--labels', 'toxic,insult', '--n-boot', '0', '--json')
    assert code==0 and json.loads(out)['tables']

@pytest.mark.slow
def test_sweep(run, table, tmp_path):
    plan = 'method: grid\nmetric: {name: valid/loss, goal: minimize}\nparameters:\n  bs: {values: [4, 8]}\n'
    (tmp_path/'plan.yaml').write_text(plan)
    args = ['sweep', tmp_path/'plan.yaml', table, '--folder', tmp_path/'s', '--text', 'text', '--labels', 'toxic', '--checkpoint', tiny_checkpoint(), '--valid-pct', '0.5']
    code,out,err = run(*args, '--json')
    assert code==0 and [o['bs'] for o in json.loads(out)]==[4,8] or sorted(o['bs'] for o in json.loads(out))==[4,8]

# Data

def test_data(run, table, tmp_path):
    args = ('--text','text','--labels','toxic')
    code,out,err = run('data', 'describe', table, *args, '--n-languages', '0', '--out', tmp_path/'r.html', '--json')
    found = json.loads(out)
    assert code==0 and found['tables']['rows_and_texts'][0]==dict(figure='rows', rows=48, percent=100) and 'Written' in err and (tmp_path/'r.html').is_file()
    code,out,err = run('data', 'duplicates', table, *args, '--json')
    assert code==0 and len(json.loads(out))==48 # each text is there twice
    code,out,err = run('data', 'leakage', table, table, *args)
    assert code==0 and '48 of 48 test rows leak' in out
    assert json.loads(run('data', 'catalog', '--json')[1])[0]['name']=='jigsaw'
    assert "did you mean 'text'" in run('data', 'describe', table, '--text', 'txt')[2]

# Whatever is passed

words = st.text(st.characters(codec='utf-8', exclude_characters='\x00'), max_size=12)
pieces = st.one_of(words, st.sampled_from(['predict','info','data','train','--json','--file','--batch','--threads','--detector','--fail-on','--lr','--config',
                                           '--labels','--help','--','-','no_such','0','1e999','null','[1','{"a":']))

@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=7))
def test_any_arguments(args):
    "A known exit code, never a traceback; 1 is for flags alone"
    old = os.getcwd(),sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(b''))
    try: code = run_cli(args)
    finally: sys.stdin = old[1]
    assert code in (0,2,3,4)

@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none()|st.booleans()|st.integers()|st.floats(allow_nan=False)|st.text(), lambda o: st.lists(o)|st.dictionaries(st.text(), o)))
def test_any_json(o): assert loose_value(json.dumps(o))==o

@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(codec='utf-8', exclude_characters='\r\n\ufeff')), min_size=1))
def test_any_lines(texts):
    lines = io.BytesIO('\n'.join(texts).encode())
    found = list(decoded_lines(lines, 'utf-8', 'x'))
    assert found==(texts if texts[-1] else texts[:-1])

@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(codec='utf-8', exclude_characters=',[{')).map(str.strip), min_size=1))
def test_any_names(names): assert several(','.join(names))==(names[0] if len(names)==1 else names)

plain = st.recursive(st.none()|st.floats()|st.text()|st.integers(-2**63, 2**63-1).map(np.int64)|st.floats(width=32).map(np.float32), lambda o: st.lists(o)|st.dictionaries(st.integers()|st.text(), o), max_leaves=8)

@settings(max_examples=200, deadline=None)
@given(plain)
def test_any_result_is_json(o): json.loads(json.dumps(plain_types(o), allow_nan=False))

# Rooms behind further commands

def test_info(run, folder):
    code,out,err = run('info', folder, '--json')
    found = json.loads(out)
    assert code==0 and found['labels']['insult']['threshold']==0.001 and len(found['hash'])==64
    assert 'flagged from' in run('info', folder)[1] and '# Comment classifier' in run('info', folder, '--card')[1]
    assert run('info', 'no_such')[0]==4

def test_score(run, folder, table, tmp_path):
    code,out,err = run('score', table, tmp_path/'out.csv', '--detector', folder, '--json')
    assert code==0 and json.loads(out)['rows']==48
    df = pd.read_csv(tmp_path/'out.csv')
    assert len(df)==48 and df.insult_flag.all() and not df.toxic_flag.any()
    code,out,err = run('score', table, tmp_path/'out.csv', '--detector', folder)
    assert code==3 and '--overwrite' in err
    assert run('score', table, tmp_path/'x.csv', '--detector', 'no_such')[0]==4
    assert run('score', tmp_path/'no.csv', tmp_path/'x.csv', '--detector', folder)[0]==3

def test_score_to_a_pipe(folder, table):
    res = process('score', '-', '-', '--format', 'csv', '--detector', folder, input=table.read_text())
    assert res.returncode==0 and len([json.loads(o) for o in res.stdout.splitlines()])==48 and '48 rows' in res.stderr

def test_explain_stdin(run, folder):
    code,out,err = run('explain', '-', '--detector', folder, '--json', stdin=b'you\r\nidiot\n')
    assert code==0 and json.loads(out)['text']=='you\nidiot'

def test_explain(run, folder):
    code,out,err = run('explain', 'you are an idiot', '--label', 'insult', '--detector', folder, '--json')
    found = json.loads(out)
    assert code==0 and found['label']=='insult' and [found['text'][o['start']:o['end']] for o in found['words']]==['you','are','an','idiot']
    assert run('explain', 'x', '--label', 'insullt', '--detector', folder)[0]==4

def test_words_and_policy(run, folder, tmp_path):
    (tmp_path/'b.txt').write_text('harbour\n')
    (tmp_path/'p.yaml').write_text('labels:\n  insult: {review: 0.001, block: 0.999}\n')
    code,out,err = run('predict', 'the harbour', 'the port', '--detector', folder, '--block', tmp_path/'b.txt', '--policy', tmp_path/'p.yaml', '--json', '--fail-on', 'block')
    assert code==1 and [json.loads(o)['decision'] for o in out.splitlines()]==['block','review']
    assert run('predict', 'x', '--detector', folder, '--policy', tmp_path/'no.yaml')[0]==4

def test_measures(run, folder, table, tmp_path):
    "Evaluate, tune, compare and match, one after another"
    args = ('--text','text','--labels','toxic,insult')
    code,out,err = run('evaluate', table, '--detector', folder, *args, '--n-boot', '0', '--out', tmp_path/'r.html', '--json')
    assert code==0 and json.loads(out)['tables'] and (tmp_path/'r.html').is_file()
    code,out,err = run('tune', folder, table, 'recall>=0.9', *args, '--n-boot', '0', '--out', tmp_path/'tuned', '--json')
    assert code==0, err
    assert read_folder(tmp_path/'tuned').labels.thresholds[0]!=0.999
    code,out,err = run('compare', folder, tmp_path/'tuned', table, '--text', 'text', '--json')
    assert code==0 and json.loads(out)['tables']['Flags_that_change'][0]['texts']==48
    old = pd.DataFrame(dict(comment=comments(48).text, TOXICITY=comments(48).toxic*0.9, INSULT=comments(48).insult*0.9))
    old.to_csv(tmp_path/'old.csv', index=False)
    code,out,err = run('match', tmp_path/'old.csv', '--detector', folder, '--text', 'comment', '--old-cuts', '0.5', '--n-boot', '0')
    assert code==0 and 'Cuts that agree most' in out

def test_serve(folder):
    "A real service: it answers, and SIGTERM ends it"
    from urllib.request import urlopen
    p = subprocess.Popen([*program, 'serve', folder, '--port', '0'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         env={**os.environ, 'PYTHONPATH':str(root)})
    try:
        url = next(w for line in p.stdout for w in line.split() if w.startswith('http://'))
        assert urlopen(url.rstrip('/.,')+'/healthz', timeout=30).status==200
    finally: p.terminate()
    assert p.wait(60)==0

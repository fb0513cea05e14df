"The project's own facts: metadata in one place, layers, names, light import, derived files"
import ast,importlib,re,runpy,subprocess,sys
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError,requires,version
from pathlib import Path

import pytest
from fastcore.nbio import read_nb
from packaging.requirements import Requirement

root = Path(__file__).resolve().parent.parent
cfg = ConfigParser(delimiters='=', interpolation=None)
cfg.read(root/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']
def required(key): return [Requirement(o) for o in cfg[key].splitlines() if o]

core,training = required('core_requirements'),required('requirements')

# Metadata

def is_installed(name):
    try: return bool(version(name))
    except PackageNotFoundError: return False

# A source install is one package, wheels are two
owner = cfg['core_name'] if is_installed(cfg['core_name']) else cfg['lib_name']

def test_version():
    toxicai = importlib.import_module('toxicai')
    assert toxicai.__version__==version(owner)==cfg['version'], "settings.ini has changed: `pip install -e .` again"

@pytest.mark.parametrize('req', core+training, ids=lambda o: o.name)
def test_bounds(req):
    "Each requirement has both bounds, and what runs here lies between them"
    assert {o.operator for o in req.specifier}=={'>=', '<'}
    assert req.specifier.contains(version(req.name), prereleases=True)

def test_installed_requirements():
    "The installed metadata ask for what settings.ini says"
    assert {str(o) for o in map(Requirement, requires(owner)) if not o.marker}=={str(o) for o in (core if owner==cfg['core_name'] else core+training)}

# The wheels: `setup.py` as it is, with a `setup` that only notes what it is given

@pytest.fixture
def built(monkeypatch):
    def _built(part=None):
        seen = {}
        monkeypatch.chdir(root)
        monkeypatch.setattr('setuptools.setup', lambda **kw: seen.update(kw))
        monkeypatch.delenv('TOXICAI_DIST', raising=False) if part is None else monkeypatch.setenv('TOXICAI_DIST', part)
        runpy.run_path(str(root/'setup.py'))
        return seen
    return _built

def names(reqs): return [Requirement(str(o)).name for o in reqs]

def test_whole(built):
    "What `pip install .` and `-e .` give: everything, and no second package"
    d = built()
    assert d['name']==cfg['lib_name'] and 'toxicai' in d['packages'] and d['install_requires']==[*cfg['core_requirements'].split(), *cfg['requirements'].split()]

def test_two_wheels(built):
    "Together they are the whole; no file is in both"
    whole,small,rest = built(),built('core'),built('training')
    assert (small['name'],rest['name'])==(cfg['core_name'],cfg['lib_name'])
    weights = [o for o in whole['packages'] if o.startswith(('toxicai_weights','toxicai_multilingual'))] # in wheels of their own
    assert [*small['packages'],*weights]==whole['packages'] and not rest['packages'] and not rest['py_modules']
    assert small['package_data']=={k:v for k,v in whole['package_data'].items() if k not in weights}
    assert rest['install_requires'][0]==f"{cfg['core_name']}=={cfg['version']}"
    of_data = [o for o in rest['install_requires'] if o.startswith('toxicai-weights')]
    assert small['install_requires']+[o for o in rest['install_requires'][1:] if o not in of_data]==whole['install_requires'] and rest['extras_require']==whole['extras_require']
    assert set(small['extras_require'])=={'serve','openvino','torch','bulk','ray','service'} and names(small['extras_require']['torch'])==['torch','transformers']

# Wheels of data

@pytest.fixture
def with_data(built, tmp_path, monkeypatch):
    "The tree as it is when the detectors are in it"
    def _built(*folders, part=None):
        for o in ('setup.py','settings.ini','README.md'): (tmp_path/o).write_text((root/o).read_text(encoding='utf-8'), encoding='utf-8')
        for o in folders:
            (tmp_path/o).mkdir(parents=True)
            (tmp_path/o/'toxicai.json').write_text('{"version": "1.2.0"}')
        monkeypatch.setattr(sys.modules[__name__], 'root', tmp_path)
        return built(part)
    return _built

weights_folder,multilingual_folder = cfg['data_packages'].split()

def test_no_data(with_data):
    "Nothing requires, or builds, what is not there"
    assert not [o for o in with_data(part='training')['install_requires'] if o.startswith('toxicai-weights')]
    for o in ('weights','multilingual'):
        with pytest.raises(ValueError, match='TOXICAI_DIST'): with_data(part=o)

def test_data_wheels(with_data):
    "Each has one package that no other wheel has, the version of its folder, and requires nothing; `toxicai` requires the weights"
    seen = {None:with_data(weights_folder, multilingual_folder)}
    seen |= {o:with_data(part=o) for o in ('core','training','weights','multilingual')}
    assert [(seen[o]['name'],seen[o]['version'],seen[o]['packages'],seen[o]['install_requires']) for o in ('weights','multilingual')]==[
        ('toxicai-weights','1.2.0',['toxicai_weights'],[]), ('toxicai-multilingual','1.2.0',['toxicai_multilingual'],[])]
    assert seen['training']['install_requires'][1]=='toxicai-weights==1.2.0' and not any('weights' in o for o in seen['core']['install_requires'])
    assert {'toxicai_weights','toxicai_multilingual'}<=set(seen[None]['packages']) and not {'toxicai_weights','toxicai_multilingual'} & set(seen['core']['packages'])

def test_one_place_for_packaged_folders():
    "settings.ini and `serve.packaged` name the same folders"
    from toxicai.serve.packaged import packaged_table,packaged_weights
    named = {f'{o.package}/detectors/{o.name}':o.wheel for o in (*packaged_table.values(), packaged_weights)}
    assert named=={'toxicai/detectors/english':cfg['core_name'], **{o:o.split('/')[0].replace('_', '-') for o in cfg['data_packages'].split()}}

def test_small_wheel(built): assert not {'fastai','torch','transformers','pandas','datasets'} & set(names(built('core')['install_requires']))

def test_no_such_wheel(built):
    with pytest.raises(ValueError, match="TOXICAI_DIST is 'all'"): built('all')

# Layers

def code_cells(
    path:Path, # A notebook
) -> list[str]: # Sources of its code cells, without shell and magic lines
    "Python code of the notebook at `path`"
    cells = [c.source for c in read_nb(path).cells if c.cell_type=='code']
    return [re.sub(r'^\s*[%!].*$', '', o, flags=re.M) for o in cells if not o.startswith('%%')]

def default_exp(
    path:Path, # A notebook
) -> str|None: # Module that it exports to
    "Name in the `default_exp` directive of the notebook at `path`"
    found = (re.search(r'^#\|\s*default_exp\s+(\S+)', o, flags=re.M) for o in code_cells(path))
    return next((o[1] for o in found if o), None)

def is_exported(src:str): return bool(re.search(r'^#\|\s*(export|exporti|exports)\b', src, flags=re.M))

def imported(
    src:str, # Python code of a module of the package
    name:str='', # Its name within the package, such as `judge.bias`; relative imports start there
) -> set[str]: # Names of the modules of the package that it imports, at any depth
    "Which modules of toxicai `src` imports"
    names,here = [],['toxicai',*name.split('.')]
    for o in ast.walk(ast.parse(src)):
        if isinstance(o, ast.Import): names += [a.name for a in o.names]
        elif isinstance(o, ast.ImportFrom):
            base = '.'.join([*(here[:len(here)-o.level] if o.level else []), *filter(None, [o.module])])
            names += [f'{base}.{a.name}' for a in o.names] if base in ('toxicai', *[f'toxicai.{w}' for w in wings]) else [base]
    return {o.removeprefix('toxicai.') for o in names if o.startswith('toxicai.')}

wings = ['text','serve','judge','data','train','runs'] # in order, over the ground floor
nbs = {name: p for p in sorted((root/'nbs').glob('[0-9]*.ipynb')) if (name := default_exp(p))}
number = {name: int(p.name.split('_')[0]) for name,p in nbs.items()}

def wing(name): return name.split('.')[0] if '.' in name else 'ground'

def code_of(name): return (root/'toxicai'/f"{name.replace('.', '/')}.py").read_text(encoding='utf-8')

def top_imports(src): # The import lines of `src` outside of functions
    return '\n'.join(ast.unparse(o) for o in ast.parse(src).body if isinstance(o, (ast.Import,ast.ImportFrom)))

def test_imported():
    assert imported('from toxicai.a import *\nfrom ..b.c import d\nfrom .. import e\nfrom ..text import f\ndef f(): import toxicai.g', 'judge.x')=={'a','b.c','e','text.f','g'}
    assert imported('from .c import *', 'judge.x')=={'judge.c'}
    assert imported('import toxicai\nimport torch.nn\nfrom fastai.text.all import *')==set()

def test_numbers():
    "A notebook's name is its number and its room; numbers go up by wing, without holes in one"
    assert [p.name for p in nbs.values()]==[f'{number[k]:02}_{k}.ipynb' for k in nbs]
    rooms = [k for k in nbs if number[k]<=90]
    order = ['ground',*wings]
    assert [wing(k) for k in rooms]==sorted(map(wing, rooms), key=order.index)
    for w in order:
        ns = [number[k] for k in rooms if wing(k)==w]
        assert ns==list(range(ns[0], ns[0]+len(ns))), f"numbers of {w} have holes: {ns}"

@pytest.mark.parametrize('name', nbs)
def test_layers(name):
    "Exported code imports lower notebook numbers only; lessons may also import their own module, test_utils and what is called in a comment of theirs"
    cells = code_cells(nbs[name])
    lower = {k for k,v in number.items() if v<number[name]} | {'_help'} # which tools/help.py writes
    code,lessons = (set().union(*[imported(o, name) for o in cells if is_exported(o)==b]) for b in (True,False))
    assert code<=lower, f"{name} exports code that imports {sorted(code-lower)}"
    if wing(name)=='judge': assert 'data' not in map(wing, code), f"{name} of judge imports {sorted(code)}"
    if wing(name)=='data': assert 'judge' not in map(wing, code), f"{name} of data imports {sorted(code)}"
    if wing(name)=='serve':
        assert set(map(wing, code))<={'ground','text','serve'}, f"{name} of serve imports {sorted(code)}"
        assert not {'text.models','text.tokenizer'} & imported(top_imports(code_of(name)), name)

heavy = {'fastai','torch','transformers','datasets'}

@pytest.mark.parametrize('name', [o for o in nbs if wing(o)=='judge'])
def test_judge_is_light(name):
    "What judges reads arrays: no fastai anywhere, torch and transformers only in `explain`, within functions"
    allowed = {'torch','transformers'} if name=='judge.explain' else set()
    found = third_party(code_of(name)) & heavy
    assert found<=allowed, f"{name} imports {sorted(found-allowed)}"
    assert not third_party(top_imports(code_of(name))) & heavy

def test_judge_alone():
    "All of judge can be imported without what trains"
    names = ','.join(f"'toxicai.{o}'" for o in nbs if wing(o)=='judge')
    code = f"import sys,importlib; [importlib.import_module(o) for o in ({names})]; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

def third_party(src): # Top-level names that `src` imports from outside the package and the standard library
    found = [a.name for o in ast.walk(ast.parse(src)) if isinstance(o, ast.Import) for a in o.names]
    found += [o.module for o in ast.walk(ast.parse(src)) if isinstance(o, ast.ImportFrom) and not o.level]
    return {o.split('.')[0] for o in found} - {'toxicai'} - sys.stdlib_module_names

def with_what_it_imports(name): # `name` and the modules of the package below it, imports inside functions left out
    return {name}.union(*[with_what_it_imports(o) for o in imported(top_imports(code_of(name)), name)])

def test_serving_is_required():
    "What `Detector` and the modules below it import is required by the core, by an extra of it, or asked for by name: tables, the Hub"
    own = {o.name.replace('-', '_') for o in core} | {'spellchecker','yaml'}
    modules = with_what_it_imports('serve.detector')
    assert modules=={'files','serve.detector','serve.backends','serve.network','serve.decisions','serve.shapes','serve.graph','serve.folder','text.encoding','text.rules','text.evasion','text.language','text.core','strings','stored','architectures','tokenfiles','labels','probabilities'}
    found = set().union(*[third_party(code_of(o)) for o in modules])
    assert found-own=={'openvino','torch','transformers','pandas','huggingface_hub'}
    assert {o.replace('-', '_') for o in names(core)}-found=={'pyspellchecker','pyyaml','click'} # the command line needs the last

def listed(name): # Modules that an `all` imports, in its order
    body = ast.parse(code_of(name)).body
    froms = [o for o in body if isinstance(o, ast.ImportFrom) and o.module!='importlib.util']
    return [m.removeprefix('toxicai.') for o in froms for m in ([o.module] if o.module else [a.name for a in o.names])]

def test_all_in_order():
    "`toxicai.all` and the `all` of each wing import in the order of the notebooks, and list what users get"
    ground = [o for o in nbs if wing(o)=='ground' and number[o]<=90]
    assert [o for o in listed('all') if o not in ground]==[f'{w}.all' for w in wings]
    for w in wings:
        rooms = [o.split('.')[1] for o in nbs if wing(o)==w]
        assert listed(f'{w}.all')==[o for o in rooms if o in listed(f'{w}.all')], w
        assert f'wing `{w}`' in code_of(f'{w}.all').splitlines()[0]
        assert '*' not in code_of(f'{w}.all').split('"', 2)[2]

def test_all_is_whole():
    "Each room of a wing is loaded with its `all`, so that no method is missing; users get at most 150 names"
    for w in wings:
        rooms = [f'toxicai.{o}' for o in nbs if wing(o)==w]
        code = f"import sys,toxicai.{w}.all; print([o for o in {rooms} if o not in sys.modules])"
        found = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True)
        assert found.stdout.strip()=='[]', f'{w}: {found.stdout}'
    assert len([o for o in vars(importlib.import_module('toxicai.all')) if not o.startswith('_')])<=150

# Names

def exports(
    name:str, # Name of a module
) -> dict: # Objects in its `__all__` by name
    "What a star-import of `name` brings"
    module = importlib.import_module(f'toxicai.{name}')
    return {o: getattr(module, o) for o in module.__all__}

@pytest.mark.parametrize('name', nbs)
def test_no_name_of_fastai(name):
    "Users star-import both; what is registered by dispatch (`show_batch`) is fastai's own object"
    fastai = vars(importlib.import_module('fastai.text.all'))
    clash = [k for k,v in exports(name).items() if k in fastai and fastai[k] is not v]
    assert not clash, f"{name} exports names of fastai.text.all: {clash}"

def test_one_owner():
    "No two modules export different things by one name: the later star-import would hide the earlier"
    owners = {}
    for m in nbs:
        for k,v in exports(m).items(): assert owners.setdefault(k, v) is v, f"{m} exports `{k}`, as an earlier module does"

def test_light_import():
    "`import toxicai` brings in nothing heavy"
    heavy = 'torch fastai transformers datasets pandas numpy'.split()
    code = f'import sys, toxicai; print([o for o in {heavy} if o in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

def test_light_detector():
    "What a plain text does not need is not imported with `Detector`"
    late = 'regex html difflib base64 logging concurrent.futures queue toxicai.text.masking toxicai.serve.first'.split()
    code = f'import sys; from toxicai import Detector; print([o for o in {late} if o in sys.modules])'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip()=='[]'

def test_all_without_training():
    code = "import sys; sys.modules['fastai'] = None; import toxicai.all"
    err = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stderr
    assert 'ImportError: `toxicai.all` is for training' in err and 'pip install toxicai`' in err

# Derived files

@pytest.fixture
def readme(monkeypatch):
    monkeypatch.syspath_prepend(str(root/'docs'))
    yield importlib.import_module('readme')
    sys.modules.pop('readme', None)

def test_readme_directives(readme):
    assert readme.split_directives('#| hide\n#|echo:false\n\nx = 1\n#| y')==({'hide', 'echo: false'}, 'x = 1\n#| y')

def test_readme_outputs(readme):
    assert readme.output_text(dict(output_type='stream', name='stdout', text=['\x1b[31ma\x1b[0m\n', 'b\n']))=='```text\na\nb\n```'
    assert readme.output_text(dict(output_type='stream', name='stderr', text=['a']))==''
    table = {'text/plain': ['x'], 'text/markdown': ['| a |\n', '|---|\n']}
    assert readme.output_text(dict(output_type='display_data', data=table))=='| a |\n|---|'
    for o in (dict(output_type='error', evalue='no'), dict(output_type='display_data', data={'image/png': ''})):
        with pytest.raises(ValueError, match='stores an'): readme.output_text(o)

def test_readme_links(readme, monkeypatch, tmp_path):
    for o in ('nbs/images', 'docs'): (tmp_path/o).mkdir(parents=True)
    for o in ('nbs/images/a.png', 'docs/b.md'): (tmp_path/o).touch()
    monkeypatch.setattr(readme, 'nb_path', tmp_path/'nbs/index.ipynb')
    md = '![a](images/a.png) [b](../docs/b.md#c) [d](https://e.f) `g[0](h)` <img src="images/a.png">'
    assert readme.from_root(md)=='![a](nbs/images/a.png) [b](docs/b.md#c) [d](https://e.f) `g[0](h)` <img src="nbs/images/a.png">'

def test_readme(readme, capsys):
    if not readme.nb_path.exists(): pytest.skip('there is no nbs/index.ipynb')
    assert not readme.main(check=True), capsys.readouterr().out

def test_comments():
    "The comments that ship are what their program writes"
    res = subprocess.run([sys.executable, root/'docs/comments.py', '--check'], capture_output=True, text=True)
    assert res.returncode==0, res.stdout+res.stderr

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
    assert small['packages']==whole['packages'] and small['package_data']==whole['package_data'] and not rest['packages'] and not rest['py_modules']
    assert rest['install_requires'][0]==f"{cfg['core_name']}=={cfg['version']}"
    assert small['install_requires']+rest['install_requires'][1:]==whole['install_requires'] and rest['extras_require']==whole['extras_require']
    assert set(small['extras_require'])=={'serve','openvino','torch'} and names(small['extras_require']['torch'])==['torch','transformers']

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
    src:str, # Python code of a top-level module of the package
) -> set[str]: # Names of the modules of the package that it imports, at any depth
    "Which modules of toxicai `src` imports"
    names = []
    for o in ast.walk(ast.parse(src)):
        if isinstance(o, ast.Import): names += [a.name for a in o.names]
        elif isinstance(o, ast.ImportFrom):
            base = '.'.join(filter(None, ['toxicai' if o.level else '', o.module]))
            names += [f'{base}.{a.name}' for a in o.names] if base=='toxicai' else [base]
    return {o.split('.')[1] for o in names if o.startswith('toxicai.')}

nbs = {name: p for p in sorted((root/'nbs').glob('[0-9]*.ipynb')) if (name := default_exp(p))}
number = {name: re.match(r'\d+[a-z]*', p.name)[0] for name,p in nbs.items()} # '02' < '02a' < '03'

def test_imported():
    assert imported('from toxicai.a import *\nfrom .b.c import d\nfrom . import e\ndef f(): import toxicai.g')=={'a','b','e','g'}
    assert imported('import toxicai\nimport torch.nn\nfrom fastai.text.all import *')==set()

@pytest.mark.parametrize('name', nbs)
def test_layers(name):
    "Exported code imports lower notebook numbers only; lessons may also import their own module and test_utils"
    cells = code_cells(nbs[name])
    lower = {k for k,v in number.items() if v<number[name]}
    code,lessons = (set().union(*[imported(o) for o in cells if is_exported(o)==b]) for b in (True,False))
    assert code<=lower, f"{name} exports code that imports {sorted(code-lower)}"
    lessons -= lower|{name, 'test_utils'}
    assert not lessons, f"lessons of {name} import {sorted(lessons)}"

def third_party(src): # Top-level names that `src` imports from outside the package and the standard library
    found = [a.name for o in ast.walk(ast.parse(src)) if isinstance(o, ast.Import) for a in o.names]
    found += [o.module for o in ast.walk(ast.parse(src)) if isinstance(o, ast.ImportFrom) and not o.level]
    return {o.split('.')[0] for o in found} - {'toxicai'} - sys.stdlib_module_names

def with_what_it_imports(name): # `name` and the modules of the package below it, imports inside functions left out
    src = (root/f'toxicai/{name}.py').read_text(encoding='utf-8')
    top = '\n'.join(ast.unparse(o) for o in ast.parse(src).body if isinstance(o, (ast.Import,ast.ImportFrom)))
    return {name}.union(*[with_what_it_imports(o) for o in imported(top)])

def test_serving_is_required():
    "What `Detector` and the modules below it import is required by the core, by an extra of it, or asked for by name: tables, the Hub"
    own = {o.name.replace('-', '_') for o in core} | {'spellchecker'}
    modules = with_what_it_imports('inference')
    assert modules=={'inference','backends','folder','encoding','rules','evasion','labels'}
    found = set().union(*[third_party((root/f'toxicai/{o}.py').read_text(encoding='utf-8')) for o in modules])
    assert found-own=={'onnxruntime','openvino','torch','transformers','pandas','huggingface_hub'}
    assert {o.replace('-', '_') for o in names(core)}-found=={'pyspellchecker'}

def test_all_in_order():
    "toxicai/all.py star-imports in the order of the notebooks"
    body = ast.parse((root/'toxicai/all.py').read_text(encoding='utf-8')).body
    numbers = [number[m] for o in body if isinstance(o, ast.ImportFrom) and (m := o.module.split('.')[-1]) in number]
    assert numbers==sorted(numbers)

# Names

def exports(
    name:str, # Name of a module
) -> dict: # Objects in its `__all__` by name; empty where the module is not exported yet
    "What a star-import of `name` brings"
    if not (root/f'toxicai/{name}.py').exists(): return {}
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

"Builds the package from the facts in settings.ini: complete, or as one of the wheels that `make dist` writes"
import json,os,re
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages,setup

root = Path(__file__).parent
cfg = ConfigParser(delimiters='=', interpolation=None)
cfg.read(root/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

def lines(key): return [o for o in cfg[key].splitlines() if o]
def name_of(req): return re.match(r'[\w.-]+', req)[0]

pythons = range(int(cfg['min_python'].split('.')[1]), int(cfg['before_python'].split('.')[1]))
core,training = lines('core_requirements'),lines('requirements')
core_extras = {o:lines(f'{o}_requirements') for o in ('serve','openvino','bulk','ray','service')}
extras = {**core_extras, **{o:lines(f'{o}_requirements') for o in ('encoder','evaluate','errors','lora','sweeps','notebook','onnx')}}
extras['dev'] = [r for o in extras.values() for r in o] + lines('dev_requirements')
core_extras['torch'] = [o for o in training if name_of(o) in cfg['torch_needs'].split()]

def data_package(folder): # Package and detector folder in it -> what `setup` needs; None where there is no data
    package,path = folder.split('/')[0],root/folder
    if not (path/'toxicai.json').is_file(): return None
    version = json.loads((path/'toxicai.json').read_text(encoding='utf-8'))['version']
    inner = [f"{folder.split('/', 1)[1]}/{o}" for o in ('*', '*/*')]
    return dict(name=package.replace('_', '-'), version=version, packages=[package], package_data={package: inner})

data = {o.split('/')[0].removeprefix('toxicai_'):data_package(o) for o in cfg['data_packages'].split()}
data = {k:o for k,o in data.items() if o}
weights = [f"{data['weights']['name']}=={data['weights']['version']}"] if 'weights' in data else []

packages = find_packages(include=['toxicai', 'toxicai.*'])
package_data = {'toxicai': ['*.csv', 'page/*', 'detectors/*/*', 'detectors/*/*/*']}
files = dict(packages=packages, package_data=package_data, entry_points={'nbdev': ['toxicai=toxicai._modidx:d'], 'console_scripts': ['toxicai=toxicai.cli:main']})
everything = {**files, 'packages': packages+[p for o in data.values() for p in o['packages']],
              'package_data': {k:v for o in ({'package_data': package_data}, *data.values()) for k,v in o['package_data'].items()}}
# pip cannot leave requirements out, so what serving needs is a wheel of its own. It has all the modules, which are small: two wheels that
# shared a folder would delete each other's files when a module moves from one to the other. The wheel `toxicai` brings requirements alone.
dists = dict(
    whole=dict(name=cfg['lib_name'], install_requires=core+training, extras_require=extras, **everything), # `pip install .` and `-e .`
    core=dict(name=cfg['core_name'], install_requires=core, extras_require=core_extras, **files),
    training=dict(name=cfg['lib_name'], install_requires=[f"{cfg['core_name']}=={cfg['version']}", *weights, *training], extras_require=extras, packages=[], py_modules=[]),
    **{k:dict(install_requires=[], **o) for k,o in data.items()}) # data alone: no code to import, nothing required
part = os.environ.get('TOXICAI_DIST', 'whole')
if part not in dists: raise ValueError(f"TOXICAI_DIST is {part!r}: expected one of {list(dists)}, or nothing for a complete package")

setup(**{'version': cfg['version'], **dists[part]},
    description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], license_expression=cfg['license'],
    long_description=(root/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    classifiers=lines('classifiers') + [f'Programming Language :: Python :: 3.{o}' for o in pythons],
    python_requires=f">={cfg['min_python']},<{cfg['before_python']}", zip_safe=False)

"Builds the package from the facts in settings.ini"
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages,setup

root = Path(__file__).parent
cfg = ConfigParser(delimiters='=', interpolation=None)
cfg.read(root/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']

def lines(key): return [o for o in cfg[key].splitlines() if o]

pythons = range(int(cfg['min_python'].split('.')[1]), int(cfg['before_python'].split('.')[1]))
extras = {o:lines(f'{o}_requirements') for o in ('encoder','evaluate','errors','lora','sweeps','serve','openvino','onnx')}
extras['dev'] = [r for o in extras.values() for r in o] + lines('dev_requirements')

setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], license_expression=cfg['license'],
    long_description=(root/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    classifiers=lines('classifiers') + [f'Programming Language :: Python :: 3.{o}' for o in pythons],
    python_requires=f">={cfg['min_python']},<{cfg['before_python']}",
    install_requires=lines('requirements'), extras_require=extras,
    packages=find_packages(include=['toxicai', 'toxicai.*']), package_data={'toxicai': ['*.csv']},
    entry_points={'nbdev': ['toxicai=toxicai._modidx:d']}, zip_safe=False)

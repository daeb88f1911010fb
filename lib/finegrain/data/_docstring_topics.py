"""What is read and what its parts are called: the packages of the docstrings world and the topics of their modules.

Written by hand. A topic's name says what the modules are about, as a person would; the same name is never used in two
packages. Where several prefixes fit a module, the longest one counts. A module without a topic is in the table, for
retrieval and language models, but in no class: its sub-package's name says nothing ("utils"), or it holds too little.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Package:
    """A package that is read.

    name: as installed. title: as people write it. folders: as imported. skipped: prefixes of modules that are not
    read, but for those below one of `kept`.
    """

    name: str
    title: str
    licence: str
    folders: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


# Families of models in transformers whose docstrings are about something; those of the other 450 models say little
# more than their names.
_MODEL_FAMILIES = {
    "object detection transformers": "conditional_detr d_fine dab_detr deformable_detr detr grounding_dino lw_detr "
    "omdet_turbo owlv2 owlvit rf_detr rt_detr yolos",
    "image segmentation transformers": "eomt mask2former maskformer oneformer sam sam2 sam3 sam_hq segformer",
    "speech models": "bark clvp fastspeech2_conformer hubert parakeet seamless_m4t speech_to_text speecht5 wav2vec2 "
    "whisper",
    "time series forecasting": "autoformer informer patchtsmixer patchtst time_series_transformer timesfm",
    "protein structure models": "esm esmfold2",
    "document and table understanding": "donut layoutlm layoutlmv2 layoutlmv3 markuplm nougat pix2struct tapas udop",
}
_FAMILY_OF_MODEL = {
    f"transformers.models.{model}": family for family, models in _MODEL_FAMILIES.items() for model in models.split()
}

_SKIPPED_IN_TORCH = (
    "_decomp _dynamo _export _functorch _inductor _meta_registrations _native _numpy _prims _refs distributed._tools "
    "export fx.experimental.shape_inference fx.experimental.unification jit._shape_functions onnx._internal"
)

PACKAGES = (
    Package("beautifulsoup4", "Beautiful Soup", "MIT", ("bs4",)),
    Package("fonttools", "fontTools", "MIT", ("fontTools",)),
    Package("huggingface_hub", "Hugging Face Hub", "Apache-2.0", ("huggingface_hub",)),
    Package("ipython", "IPython", "BSD-3-Clause", ("IPython",)),
    Package("jinja2", "Jinja", "BSD-3-Clause", ("jinja2",)),
    Package("matplotlib", "Matplotlib", "Matplotlib (PSF-based)", ("matplotlib", "mpl_toolkits")),
    Package("mpmath", "mpmath", "BSD-3-Clause", ("mpmath",)),
    Package("networkx", "NetworkX", "BSD-3-Clause", ("networkx",)),
    Package("numpy", "NumPy", "BSD-3-Clause", ("numpy",), ("numpy.distutils", "numpy.f2py")),
    Package("pandas", "pandas", "BSD-3-Clause", ("pandas",)),
    Package("pillow", "Pillow", "MIT-CMU", ("PIL",)),
    Package("prompt_toolkit", "Prompt Toolkit", "BSD-3-Clause", ("prompt_toolkit",)),
    Package("rich", "Rich", "MIT", ("rich",)),
    Package("scikit-learn", "scikit-learn", "BSD-3-Clause", ("sklearn",)),
    Package("scipy", "SciPy", "BSD-3-Clause", ("scipy",), ("scipy._lib",)),
    Package("seaborn", "seaborn", "BSD-3-Clause", ("seaborn",)),
    Package("sentence-transformers", "Sentence Transformers", "Apache-2.0", ("sentence_transformers",)),
    Package("sympy", "SymPy", "BSD-3-Clause", ("sympy",)),
    Package("timm", "timm", "Apache-2.0", ("timm",)),
    Package(
        "torch",
        "PyTorch",
        "BSD-3-Clause",
        ("torch",),
        skipped=tuple(f"torch.{module}" for module in _SKIPPED_IN_TORCH.split()),
    ),
    Package("torchvision", "torchvision", "BSD-3-Clause", ("torchvision",)),
    Package("tornado", "Tornado", "Apache-2.0", ("tornado",)),
    Package(
        "transformers",
        "Transformers",
        "Apache-2.0",
        ("transformers",),
        skipped=("transformers.exporters", "transformers.models"),
        kept=tuple(_FAMILY_OF_MODEL),
    ),
)

TOPICS = {
    # beautifulsoup4, fonttools, huggingface_hub, ipython, jinja2
    "bs4": "parsing HTML documents",
    "fontTools.ttLib": "OpenType font tables",
    "fontTools.varLib": "variable fonts",
    "fontTools.pens": "glyph outline drawing",
    "fontTools.misc": None,
    "fontTools.ufoLib": "font source files",
    "fontTools.feaLib": "typographic feature files",
    "fontTools.otlLib": "glyph substitution and positioning",
    "fontTools.designspaceLib": "font design spaces",
    "huggingface_hub.hf_api": "model hosting service",
    "huggingface_hub.inference": "remote model inference",
    "huggingface_hub.cli": "model hub commands",
    "IPython.core": "interactive shell",
    "IPython.core.magics": "shell magic commands",
    "IPython.core.completer": "code completion",
    "IPython.terminal": "terminal prompts",
    "jinja2": "text templates",
    # matplotlib
    "matplotlib.axes": "plotting methods of axes",
    "matplotlib.axis": "axis ticks and labels",
    "matplotlib.ticker": "axis ticks and labels",
    "matplotlib.dates": "axis ticks and labels",
    "matplotlib.backends": "rendering backends",
    "matplotlib.backend_bases": "rendering backends",
    "matplotlib.cbook": None,
    "matplotlib.colors": "colours and colour maps",
    "matplotlib.cm": "colours and colour maps",
    "matplotlib.colorizer": "colours and colour maps",
    "matplotlib.colorbar": "colours and colour maps",
    "matplotlib.figure": "figures and layout",
    "matplotlib.gridspec": "figures and layout",
    "matplotlib.pyplot": "figures and layout",
    "matplotlib.layout_engine": "figures and layout",
    "matplotlib.patches": "shapes and arrows",
    "matplotlib.path": "shapes and arrows",
    "matplotlib.collections": "collections of shapes",
    "matplotlib.transforms": "coordinate transformations",
    "matplotlib.projections": "coordinate transformations",
    "matplotlib.text": "text rendering",
    "matplotlib.mathtext": "text rendering",
    "matplotlib._mathtext": "text rendering",
    "matplotlib.font_manager": "text rendering",
    "matplotlib.textpath": "text rendering",
    "matplotlib.tri": "triangular grids",
    "matplotlib.widgets": "interactive plot widgets",
    "mpl_toolkits.mplot3d": "three-dimensional plots",
    "mpl_toolkits.axes_grid1": "grids of axes",
    "mpl_toolkits.axisartist": "grids of axes",
    # mpmath
    "mpmath.calculus": "numerical calculus in high precision",
    "mpmath.matrices": "matrices in high precision",
    "mpmath.functions": "special functions in high precision",
    "mpmath.libmp": "arbitrary-precision arithmetic",
    # networkx
    "networkx.algorithms.approximation": "approximation algorithms for graphs",
    "networkx.algorithms.bipartite": "bipartite graphs",
    "networkx.algorithms.centrality": "centrality of nodes",
    "networkx.algorithms.community": "community detection",
    "networkx.algorithms.connectivity": "graph connectivity",
    "networkx.algorithms.components": "graph connectivity",
    "networkx.algorithms.flow": "network flow",
    "networkx.algorithms.isomorphism": "graph isomorphism",
    "networkx.algorithms.shortest_paths": "shortest paths",
    "networkx.algorithms.tree": "trees and traversal",
    "networkx.algorithms.traversal": "trees and traversal",
    "networkx.algorithms.dag": "trees and traversal",
    "networkx.classes": "graph classes",
    "networkx.drawing": "graph drawing",
    "networkx.generators": "graph generators",
    "networkx.readwrite": "graph file formats",
    # numpy
    "numpy._core": "array operations",
    "numpy._core.strings": "string arrays",
    "numpy._core.defchararray": "string arrays",
    "numpy.lib": "array operations",
    "numpy.linalg": "matrix algebra of arrays",
    "numpy.ma": "masked arrays",
    "numpy.polynomial": "polynomial series",
    # pandas
    "pandas.core.arrays": "extension arrays",
    "pandas.core.arrays.arrow": "columnar memory arrays",
    "pandas.core.arrays.sparse": "extension arrays",
    "pandas.core.dtypes": "data types",
    "pandas.core.frame": "data frames",
    "pandas.core.groupby": "group-by aggregation",
    "pandas.core.indexes": "index labels",
    "pandas.core.indexes.datetimes": "dates and periods",
    "pandas.core.indexes.period": "dates and periods",
    "pandas.core.indexes.timedeltas": "dates and periods",
    "pandas.core.indexes.datetimelike": "dates and periods",
    "pandas.core.arrays.datetimes": "dates and periods",
    "pandas.core.arrays.period": "dates and periods",
    "pandas.core.arrays.timedeltas": "dates and periods",
    "pandas.core.arrays.datetimelike": "dates and periods",
    "pandas.tseries": "dates and periods",
    "pandas.core.internals": "block storage of columns",
    "pandas.core.resample": "resampling and rolling windows",
    "pandas.core.window": "resampling and rolling windows",
    "pandas.core.reshape": "reshaping and joining tables",
    "pandas.core.series": "labelled series",
    "pandas.core.strings": "vectorised string methods",
    "pandas.errors": "error classes",
    "pandas.io": "reading and writing tables",
    "pandas.io.formats": "table formatting",
    "pandas.plotting": "plotting of tables",
    # pillow, prompt_toolkit, rich
    "PIL": "image files and drawing",
    "prompt_toolkit": "terminal user interfaces",
    "rich": "formatted terminal output",
    # scikit-learn
    "sklearn.cluster": "cluster analysis",
    "sklearn.compose": "estimator pipelines",
    "sklearn.pipeline": "estimator pipelines",
    "sklearn.covariance": "covariance estimation",
    "sklearn.datasets": "toy data sets",
    "sklearn.decomposition": "matrix factorisation",
    "sklearn.cross_decomposition": "matrix factorisation",
    "sklearn.ensemble": "ensembles of trees",
    "sklearn.tree": "ensembles of trees",
    "sklearn.feature_extraction": "feature extraction",
    "sklearn.feature_selection": "feature selection",
    "sklearn.gaussian_process": "Gaussian processes",
    "sklearn.linear_model": "linear models",
    "sklearn.manifold": "manifold learning",
    "sklearn.metrics": "evaluation metrics",
    "sklearn.mixture": "mixture models",
    "sklearn.model_selection": "model selection",
    "sklearn.neighbors": "nearest neighbours",
    "sklearn.neural_network": "neural network estimators",
    "sklearn.preprocessing": "feature preprocessing",
    "sklearn.impute": "feature preprocessing",
    "sklearn.svm": "support vector machines",
    # scipy
    "scipy.cluster": "hierarchical clustering",
    "scipy.fft": "Fourier transforms",
    "scipy.fftpack": "Fourier transforms",
    "scipy.integrate": "integration and differential equations",
    "scipy.interpolate": "interpolation and splines",
    "scipy.io": "scientific file formats",
    "scipy.linalg": "dense linear algebra",
    "scipy.ndimage": "image filters",
    "scipy.optimize": "optimization",
    "scipy.signal": "signal processing",
    "scipy.sparse": "sparse matrices",
    "scipy.sparse.linalg": "sparse linear systems",
    "scipy.sparse.csgraph": "sparse matrices",
    "scipy.spatial": "spatial geometry",
    "scipy.spatial.distance": "spatial geometry",
    "scipy.spatial.transform": "rotations in space",
    "scipy.special": "special functions",
    "scipy.stats": "statistical tests and summaries",
    "scipy.stats._continuous_distns": "probability distributions",
    "scipy.stats._discrete_distns": "probability distributions",
    "scipy.stats._distn_infrastructure": "probability distributions",
    "scipy.stats._distribution_infrastructure": "probability distributions",
    "scipy.stats._probability_distribution": "probability distributions",
    "scipy.stats._multivariate": "multivariate distributions",
    "scipy.stats._covariance": "multivariate distributions",
    "scipy.stats._qmc": "quasi-random sampling",
    "scipy.stats._sampling": "quasi-random sampling",
    "scipy.stats._mstats_basic": "statistics with missing values",
    "scipy.stats._mstats_extras": "statistics with missing values",
    # seaborn, sentence-transformers
    "seaborn": "statistical graphics",
    "sentence_transformers.base": "embedding model components",
    "sentence_transformers.cross_encoder": "text pair scoring",
    "sentence_transformers.sentence_transformer": "sentence embeddings",
    "sentence_transformers.sparse_encoder": "sparse text encoders",
    "sentence_transformers.multi_vector_encoder": "multi-vector text encoders",
    # sympy
    "sympy.algebras": "quaternions",
    "sympy.assumptions": "assumptions and predicates",
    "sympy.categories": "category theory",
    "sympy.codegen": "code generation",
    "sympy.printing": "printing of expressions",
    "sympy.combinatorics": "permutation groups",
    "sympy.concrete": "sums and products",
    "sympy.series": "series and limits",
    "sympy.core": "symbolic expressions",
    "sympy.crypto": "cryptography",
    "sympy.functions": "elementary and combinatorial functions",
    "sympy.functions.special": "symbolic special functions",
    "sympy.geometry": "plane geometry",
    "sympy.integrals": "symbolic integration",
    "sympy.liealgebras": "Lie algebras",
    "sympy.diffgeom": "differential geometry",
    "sympy.logic": "Boolean logic",
    "sympy.matrices": "symbolic matrices",
    "sympy.ntheory": "number theory",
    "sympy.parsing": "parsing of expressions",
    "sympy.physics.biomechanics": "muscles and biomechanics",
    "sympy.physics.continuum_mechanics": "beams and trusses",
    "sympy.physics.control": "control systems",
    "sympy.physics.mechanics": "multibody mechanics",
    "sympy.physics.optics": "optics",
    "sympy.physics.quantum": "quantum mechanics",
    "sympy.physics.secondquant": "second quantization",
    "sympy.physics.vector": "vectors and reference frames",
    "sympy.vector": "vectors and reference frames",
    "sympy.plotting": "plots of functions",
    "sympy.polys": "polynomials",
    "sympy.polys.agca": "polynomial modules and ideals",
    "sympy.polys.domains": "algebraic domains",
    "sympy.polys.matrices": "matrices over exact domains",
    "sympy.polys.numberfields": "algebraic number fields",
    "sympy.sets": "sets",
    "sympy.simplify": "simplification of expressions",
    "sympy.solvers": "equation solving",
    "sympy.solvers.ode": "symbolic differential equations",
    "sympy.solvers.diophantine": "equation solving",
    "sympy.stats": "random variables",
    "sympy.tensor": "tensor algebra",
    "sympy.utilities": None,
    # timm
    "timm.data": "image data loading",
    "timm.layers": "vision network layers",
    "timm.models": "image classification models",
    "timm.optim": "optimizers for vision models",
    # torch
    "torch.ao.quantization": "quantization of networks",
    "torch.ao.nn": "quantization of networks",
    "torch.ao.ns": "quantization of networks",
    "torch.ao.pruning": "pruning and sparsity",
    "torch.autograd": "automatic differentiation",
    "torch.cuda": "accelerator memory and streams",
    "torch.xpu": "accelerator memory and streams",
    "torch.mtia": "accelerator memory and streams",
    "torch.accelerator": "accelerator memory and streams",
    "torch.distributed": "distributed communication",
    "torch.distributed.checkpoint": "distributed checkpoints",
    "torch.distributed.elastic": "elastic job launching",
    "torch.distributed.fsdp": "data parallelism",
    "torch.distributed._shard": "data parallelism",
    "torch.distributed.pipelining": "pipeline parallelism",
    "torch.distributed.tensor": "distributed tensors",
    "torch.distributions": "differentiable distributions",
    "torch.fx": "program graph transformation",
    "torch.fx.experimental": "symbolic shapes",
    "torch.jit": "script compilation",
    "torch.nn.functional": "neural network functions",
    "torch.nn.modules": "neural network modules",
    "torch.nn.attention": "attention kernels",
    "torch.nn.parallel": "data parallelism",
    "torch.nn.utils": "parametrization of modules",
    "torch.optim": "gradient-descent optimizers",
    "torch.package": "packaging of code",
    "torch.profiler": "profiling",
    "torch.utils.data": "data loading pipelines",
    "torch.utils.tensorboard": "experiment logging",
    # torchvision
    "torchvision.datasets": "vision data sets",
    "torchvision.models": "pretrained vision models",
    "torchvision.models.detection": "object detection models",
    "torchvision.ops": "operations on bounding boxes",
    "torchvision.transforms": "image augmentation",
    # tornado
    "tornado": "asynchronous web server",
    # transformers, its families of models included
    "transformers.cache_utils": "text generation",
    "transformers.generation": "text generation",
    "transformers.generation.continuous_batching": "batched generation serving",
    "transformers.trainer": "training loop",
    "transformers.trainer_utils": "training loop",
    "transformers.trainer_callback": "training loop",
    "transformers.trainer_pt_utils": "training loop",
    "transformers.training_args": "training loop",
    "transformers.optimization": "training loop",
    "transformers.data": "language data processing",
    "transformers.pipelines": "inference pipelines",
    "transformers.quantizers": "quantized language models",
    "transformers.tokenization_utils_base": "tokenization",
    "transformers.tokenization_utils_tokenizers": "tokenization",
    "transformers.tokenization_python": "tokenization",
    "transformers.processing_utils": "image and audio preprocessing",
    "transformers.image_utils": "image and audio preprocessing",
    "transformers.image_transforms": "image and audio preprocessing",
    "transformers.image_processing_utils": "image and audio preprocessing",
    "transformers.audio_utils": "image and audio preprocessing",
    "transformers.video_utils": "image and audio preprocessing",
    **_FAMILY_OF_MODEL,
}


def topic_of(module: str) -> str:
    """The topic of a module, "" where it has none.

    >>> topic_of("scipy.sparse.linalg._isolve.iterative")
    'sparse linear systems'
    """
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in TOPICS:
            return TOPICS[prefix] or ""
    return ""

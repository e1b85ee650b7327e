using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Synthesis;

/// <summary>The shapes of Meta's models, and a tiny one that has all their features.</summary>
public static class ModelShapes
{
    private const int Llama3Vocabulary = 128256;

    private static readonly Dictionary<string, LlamaConfig> Shapes = new()
    {
        ["llama3-8b"] = Llama3(hidden: 4096, intermediate: 14336, layers: 32, heads: 32, kvHeads: 8),
        ["llama3-70b"] = Llama3(hidden: 8192, intermediate: 28672, layers: 80, heads: 64, kvHeads: 8),
        ["llama3.2-1b"] = Llama3(hidden: 2048, intermediate: 8192, layers: 16, heads: 32, kvHeads: 8) with
        {
            ContextLength = 131072,
            RopeScaling = new RopeScaling(32, 1, 4, 8192),
            TiedHead = true,
        },

        // Whole rows of 256 for the K-quants, grouped heads, and a context short enough to reach the scaled frequencies.
        ["tiny"] = Llama3(hidden: 256, intermediate: 512, layers: 4, heads: 8, kvHeads: 2) with
        {
            VocabularySize = 512,
            ContextLength = 2048,
            RopeScaling = new RopeScaling(8, 1, 4, 256),
        },
    };

    /// <summary>The names that <see cref="Get"/> takes.</summary>
    public static IReadOnlyCollection<string> Names => Shapes.Keys;

    /// <summary>The configuration of a shape, without special tokens: they come with the vocabulary.</summary>
    /// <exception cref="ModelFileException">There is no shape of this name.</exception>
    public static LlamaConfig Get(string name) => Shapes.TryGetValue(name, out LlamaConfig? shape)
        ? shape
        : throw new ModelFileException($"there is no shape \"{name}\"; the shapes are {string.Join(", ", Names)}");

    private static LlamaConfig Llama3(int hidden, int intermediate, int layers, int heads, int kvHeads) => new()
    {
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        LayerCount = layers,
        HeadCount = heads,
        KvHeadCount = kvHeads,
        HeadDim = hidden / heads,
        VocabularySize = Llama3Vocabulary,
        ContextLength = 8192,
        RmsNormEpsilon = 1e-5f,
        RopeTheta = 500000,
    };
}

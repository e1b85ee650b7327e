namespace Llama3Cluster.Shards.Config;

/// <summary>The shape of a dense Llama-architecture model, as either kind of model file states it.</summary>
public sealed record LlamaConfig
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the SwiGLU feed-forward layer.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Transformer layers.</summary>
    public required int LayerCount { get; init; }

    /// <summary>Query heads of a layer.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Key/value heads of a layer; query heads share them in equal groups (GQA).</summary>
    public required int KvHeadCount { get; init; }

    /// <summary>Elements of a head.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Tokens of the vocabulary, that is rows of the embedding.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Positions that the model was made for.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The epsilon of every RMSNorm.</summary>
    public required float RmsNormEpsilon { get; init; }

    /// <summary>The base of RoPE's frequencies.</summary>
    public required double RopeTheta { get; init; }

    /// <summary>
    /// How RoPE is stretched to longer contexts; null when it is not, and also when the file states the outcome instead of the rule
    /// (GGUF's rope_freqs.weight). The model file's RopeFrequencies have all scaling applied in either case.
    /// </summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>Token that starts a sequence; null if the file names none.</summary>
    public int? BosToken { get; init; }

    /// <summary>Tokens that end a generation.</summary>
    public IReadOnlyList<int> EosTokens { get; init; } = [];

    /// <summary>Whether the output head is the embedding.</summary>
    public bool TiedHead { get; init; }
}

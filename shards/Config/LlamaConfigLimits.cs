using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Config;

/// <summary>
/// The sizes that a model may have. Wide enough for every Llama there is, narrow enough that products of them cannot overflow and
/// a hostile file cannot make anyone allocate by its numbers.
/// </summary>
internal static class LlamaConfigLimits
{
    public const int Layers = 1024;
    public const int Vocabulary = 1 << 21;
    public const int Hidden = 1 << 17;
    public const int Intermediate = 1 << 20;
    public const int Heads = 1 << 12;
    public const int HeadDim = 1 << 12;
    public const int Context = 1 << 26;

    /// <summary>Requires that a configuration describes a model that can be computed.</summary>
    /// <exception cref="ModelFileException">It does not; the message has the number and its bounds.</exception>
    public static void Require(LlamaConfig config, string path)
    {
        RequireSize(path, "number of layers", config.LayerCount, Layers);
        RequireSize(path, "vocabulary size", config.VocabularySize, Vocabulary);
        RequireSize(path, "hidden size", config.HiddenSize, Hidden);
        RequireSize(path, "intermediate size", config.IntermediateSize, Intermediate);
        RequireSize(path, "number of heads", config.HeadCount, Heads);
        RequireSize(path, "number of key/value heads", config.KvHeadCount, Heads);
        RequireSize(path, "head dimension", config.HeadDim, HeadDim);
        RequireSize(path, "context length", config.ContextLength, Context);
        if (config.HeadCount % config.KvHeadCount != 0)
            throw new ModelFileException($"{path}: {config.HeadCount} heads cannot share {config.KvHeadCount} key/value heads in "
                + "equal groups");
        if (config.HeadDim % 2 != 0)
            throw new ModelFileException($"{path}: the head dimension is {config.HeadDim}; RoPE rotates pairs, "
                + "so it must be even");
        if (!(config.RmsNormEpsilon > 0 && config.RmsNormEpsilon < 1))
            throw new ModelFileException($"{path}: the RMSNorm epsilon is {config.RmsNormEpsilon}; it must be between 0 and 1");
        if (!(config.RopeTheta >= 1 && config.RopeTheta <= 1e12))
            throw new ModelFileException($"{path}: the base of RoPE's frequencies is {config.RopeTheta}; "
                + "it must be from 1 to 1e12");
        if (config.RopeScaling is RopeScaling scaling)
            RequireScaling(scaling, path);
        foreach (int token in config.EosTokens.Concat(config.BosToken is int bos ? [bos] : []))
        {
            if (token < 0 || token >= config.VocabularySize)
                throw new ModelFileException($"{path}: special token {token} is not in the vocabulary of "
                    + $"{config.VocabularySize}");
        }
    }

    /// <summary>The head dimension of a file that does not state it.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="hidden">Hidden size.</param>
    /// <param name="heads">Query heads.</param>
    /// <param name="key">Where the file could have stated it.</param>
    /// <exception cref="ModelFileException">The hidden size does not divide into the heads.</exception>
    public static int DefaultHeadDim(string path, int hidden, int heads, string key) => heads > 0 && hidden % heads == 0
        ? hidden / heads
        : throw new ModelFileException($"{path}: a hidden size of {hidden} does not divide into {heads} heads, and {key} is not stated");

    private static void RequireSize(string path, string what, int value, int limit)
    {
        if (value < 1 || value > limit)
            throw new ModelFileException($"{path}: the {what} is {value}; it must be from 1 to {limit}");
    }

    private static void RequireScaling(RopeScaling scaling, string path)
    {
        if (!(scaling.Factor >= 1 && scaling.Factor <= 1e6))
            throw new ModelFileException($"{path}: the RoPE scaling factor is {scaling.Factor}; it must be from 1 to 1e6");
        double low = scaling.LowFrequencyFactor, high = scaling.HighFrequencyFactor;
        if (!(low > 0 && low < high && high <= 1e6))
            throw new ModelFileException($"{path}: RoPE scaling's low and high frequency factors are {low} and {high}; "
                + "they must be positive and in that order");
        RequireSize(path, "original context length of RoPE scaling", scaling.OriginalContextLength, Context);
    }
}

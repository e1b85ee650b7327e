namespace Llama3Cluster.Shards.Files;

/// <summary>What a tensor is to the model, whatever its file calls it.</summary>
public enum TensorRole
{
    /// <summary>Token embedding [vocabulary, hidden].</summary>
    TokenEmbedding,

    /// <summary>RMSNorm gain before attention [hidden]; one a layer.</summary>
    AttentionNorm,

    /// <summary>Query projection [heads * head dim, hidden]; one a layer.</summary>
    Query,

    /// <summary>Key projection [KV heads * head dim, hidden]; one a layer.</summary>
    Key,

    /// <summary>Value projection [KV heads * head dim, hidden]; one a layer.</summary>
    Value,

    /// <summary>Attention output projection [hidden, heads * head dim]; one a layer.</summary>
    AttentionOutput,

    /// <summary>RMSNorm gain before the feed-forward [hidden]; one a layer.</summary>
    FeedForwardNorm,

    /// <summary>SwiGLU gate projection [intermediate, hidden]; one a layer.</summary>
    Gate,

    /// <summary>SwiGLU up projection [intermediate, hidden]; one a layer.</summary>
    Up,

    /// <summary>SwiGLU down projection [hidden, intermediate]; one a layer.</summary>
    Down,

    /// <summary>RMSNorm gain before the head [hidden].</summary>
    OutputNorm,

    /// <summary>Output head [vocabulary, hidden]; the embedding when the head is tied.</summary>
    OutputHead,
}

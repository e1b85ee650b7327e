namespace Llama3Cluster.Gateway.Tokenizers;

/// <summary>The kinds of file that hold a tokenizer.</summary>
public enum TokenizerSource
{
    /// <summary>Meta's tokenizer.model, in tiktoken's form.</summary>
    Tiktoken,

    /// <summary>Hugging Face's tokenizer.json.</summary>
    TokenizerJson,

    /// <summary>The vocabulary in a GGUF file.</summary>
    Gguf,
}

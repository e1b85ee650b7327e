namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>What a token is, as <c>tokenizer.ggml.token_type</c> numbers it.</summary>
internal enum GgufTokenType
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// Hugging Face's tokenizer.json: a pipeline that a file is free to compose. Two compositions make up the Llama models and are
/// understood: byte-level BPE with Llama 3's split, and SentencePiece's BPE. Anything else is refused by name rather than
/// approximated. The batch settings <c>truncation</c> and <c>padding</c> are the trainer's and have no part in encoding a prompt.
/// </summary>
internal static class TokenizerJsonFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "tokenizer.json";

    public static ModelTokenizer Load(string path)
    {
        using JsonFile file = JsonFile.Open(path);
        JsonValue root = file.Root;
        root.AllowOnly(
            "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model");

        string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        TokenizerConfigFile config = TokenizerConfigFile.Read(folder);
        var model = TokenizerJsonModel.Read(root);
        TokenizerJsonPipeline pipeline = TokenizerJsonPipeline.Read(root);
        (Vocabulary vocabulary, Bpe.ITextEncoder encoder) = pipeline.ByteLevel ? model.ByteLevel() : model.SentencePiece(pipeline);

        int? start = TokenizerJsonTemplate.StartToken(root["post_processor"], vocabulary);
        if (root["post_processor"].IsNull && config is { AddStartToken: true, StartToken: { } name })
        {
            start = vocabulary.Special.TryGetValue(name, out int id)
                ? id
                : throw new ModelFileException($"{TokenizerConfigFile.Name}: the start token {name} is not among the special tokens.");
        }

        return new ModelTokenizer(
            vocabulary,
            encoder,
            new TokenizerTraits(start, EndTokens.Collect(folder, vocabulary, config.EndToken), pipeline.StripsLeadingSpace));
    }
}

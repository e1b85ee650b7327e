using Llama3Cluster.Gateway.Tokenizers.Bpe;

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
            "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
            "model");

        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        TokenizerConfigFile config = TokenizerConfigFile.Read(folder);
        var model = TokenizerJsonModel.Read(root);
        TokenizerJsonPipeline pipeline = TokenizerJsonPipeline.Read(root);
        (Vocabulary vocabulary, ITextEncoder encoder) = pipeline.ByteLevel ? model.ByteLevel() : model.SentencePiece(pipeline);

        int? start = TokenizerJsonTemplate.StartToken(root["post_processor"], vocabulary);
        if (root["post_processor"].IsNull && config is { AddStartToken: true, StartToken: { } name })
        {
            start = vocabulary.RequireSpecial(name, TokenizerConfigFile.Name);
        }

        return new ModelTokenizer(
            vocabulary,
            encoder,
            new TokenizerTraits(start, EndTokens.Collect(folder, vocabulary, config.EndToken), pipeline.StripsLeadingSpace));
    }
}

using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Quantization;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>The tokenizers of quantized models against those of the models that they were made of.</summary>
public sealed class GgufVocabularyExportTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_demo_model_must_keep_its_tokens()
    {
        ModelTokenizer tokenizer = MustKeepItsTokens("demo");
        Assert.True(tokenizer.HasChatFormat);
        Prompt chat = new Prompt.Chat([new ChatMessage("user", "Tell me a story about a dog.")]);
        Assert.Equal(TokenizerLoader.Load(SharedMaterial.Demo).Encode(chat), tokenizer.Encode(chat));
    }

    [SharedTheory]
    [InlineData("stories260k")]
    [InlineData("tinystories-656k")]
    [InlineData("llama-2-tiny-random.gguf")]
    public void A_model_of_another_tokenizer_must_keep_its_tokens(string model) => MustKeepItsTokens(model);

    [Fact]
    public void A_second_quantization_must_keep_the_tokens_too()
    {
        string first = Quantize(SharedMaterial.Demo, "first.gguf"), second = Quantize(first, "second.gguf");
        MustBeEqual(TokenizerLoader.Load(SharedMaterial.Demo), TokenizerLoader.Load(second));
    }

    [Fact]
    public void The_chat_template_must_go_along_for_programs_that_run_it()
    {
        string folder = CopyOfDemo();
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"bos_token":"<|begin_of_text|>","chat_template":"{{ bos_token }}"}""");
        File.Delete(Path.Combine(folder, "tokenizer.model"));

        using ModelFile written = ModelFile.Open(Quantize(folder, "m.gguf"));

        Assert.Equal("{{ bos_token }}", ((Shards.Files.Gguf.GgufFile)written).Metadata.GetString("tokenizer.chat_template"));
    }

    [Fact]
    public void A_tokenizer_that_would_encode_otherwise_must_be_refused()
    {
        // Without the rule that a word of the vocabulary is one token, which every GGUF file of this kind has, merges alone decide:
        // "the" is then never reached.
        string folder = CopyOfDemo(), path = Path.Combine(folder, "tokenizer.json");
        File.Delete(Path.Combine(folder, "tokenizer.model"));
        string json = File.ReadAllText(path);
        Assert.Contains("\"ignore_merges\": true", json, StringComparison.Ordinal);
        string broken = json.Replace("\"ignore_merges\": true", "\"ignore_merges\": false", StringComparison.Ordinal);
        broken = System.Text.RegularExpressions.Regex.Replace(broken, """\[\s*"h",\s*"e"\s*\],""", "");
        Assert.True(broken.Length < json.Length, "the merge was not found");
        File.WriteAllText(path, broken);

        var error = Assert.Throws<ModelFileException>(() => Quantize(folder, "m.gguf"));

        Assert.Contains("cannot hold the tokenizer", error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("m.gguf")));
    }

    [Fact]
    public void A_model_without_a_tokenizer_json_must_be_refused_with_the_reason()
    {
        string folder = CopyOfDemo();
        File.Delete(Path.Combine(folder, "tokenizer.json"));
        var error = Assert.Throws<ModelFileException>(() => Quantize(folder, "m.gguf"));
        Assert.Contains("has no tokenizer.json", error.Message, StringComparison.Ordinal);
    }

    private static void MustBeEqual(ModelTokenizer wanted, ModelTokenizer found)
    {
        Assert.Equal(wanted.StartToken, found.StartToken);
        Assert.Equal(wanted.EndTokens.Order(), found.EndTokens.Order());
        Assert.Equal(wanted.StripsLeadingSpace, found.StripsLeadingSpace);
        Assert.All(wanted.SpecialTokens, token => Assert.Equal(token.Value, found.SpecialTokens[token.Key]));
        var random = new Random(22);
        for (int round = 0; round < 500; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 60));
            int[] ids = wanted.EncodeText(text);
            Assert.Equal(ids, found.EncodeText(text));
            Assert.All(ids, id => Assert.Equal(wanted.DecodeBytes(id).ToArray(), found.DecodeBytes(id).ToArray()));
        }
    }

    private ModelTokenizer MustKeepItsTokens(string model)
    {
        ModelTokenizer found = TokenizerLoader.Load(Quantize(SharedMaterial.Model(model), "m.gguf"));
        MustBeEqual(TokenizerLoader.Load(SharedMaterial.Model(model)), found);
        return found;
    }

    private string Quantize(string model, string name)
    {
        using ModelFile file = ModelFile.Open(model);
        ModelQuantizer.Write(file, new QuantizationOptions
        {
            Output = _folder.File(name),
            Type = WeightFormat.Q8_0,
            Metadata = GgufVocabularyExport.Of(file),
        });
        return _folder.File(name);
    }

    private string CopyOfDemo()
    {
        string folder = Directory.CreateDirectory(_folder.File("demo")).FullName;
        foreach (string file in Directory.GetFiles(SharedMaterial.Demo))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return folder;
    }
}

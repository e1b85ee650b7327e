using System.Text.Json.Nodes;
using Llama3Cluster.Shards.Config;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Tests.Files;

namespace Llama3Cluster.Shards.Tests.Config;

/// <summary>What config.json and generation_config.json may say.</summary>
public sealed class HuggingFaceConfigTests : IDisposable
{
    private const string Llama3Scaling =
        """{"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}""";

    private static readonly Dictionary<string, (string MessagePart, string Key, string? Value)> Refusals = new()
    {
        ["another architecture"] = ("MistralForCausalLM of type llama", "architectures", "[\"MistralForCausalLM\"]"),
        ["another model type"] = ("of type qwen2", "model_type", "\"qwen2\""),
        ["an attention bias"] = ("attention_bias is true", "attention_bias", "true"),
        ["a feed-forward bias"] = ("mlp_bias is true", "mlp_bias", "true"),
        ["another activation"] = ("hidden_act is gelu", "hidden_act", "\"gelu\""),
        ["quantized weights"] = ("quantized (awq in quantization_config)", "quantization_config", "{\"quant_method\":\"awq\"}"),
        ["partial rotation"] = ("partial_rotary_factor is 0.5", "partial_rotary_factor", "0.5"),
        ["yarn scaling"] = ("type yarn is not supported", "rope_scaling", "{\"type\":\"yarn\",\"factor\":4}"),
        ["dynamic scaling"] = ("type dynamic is not supported", "rope_scaling", "{\"rope_type\":\"dynamic\",\"factor\":4}"),
        ["scaling without a factor"] = ("lacks factor", "rope_scaling", "{\"rope_type\":\"llama3\"}"),
        ["scaling that shrinks"] = ("scaling factor is 0.5", "rope_scaling", Llama3Scaling.Replace("8.0", "0.5", StringComparison.Ordinal)),
        ["scaling factors out of order"] = ("low and high frequency factors are 5 and 4", "rope_scaling", Llama3Scaling.Replace("1.0", "5", StringComparison.Ordinal)),
        ["scaling from no context"] = ("original context length of RoPE scaling is 0", "rope_scaling", Llama3Scaling.Replace("8192", "0", StringComparison.Ordinal)),
        ["scaling that is text"] = ("rope_scaling is \"llama3\"", "rope_scaling", "\"llama3\""),
        ["no hidden size"] = ("lacks hidden_size", "hidden_size", null),
        ["a hidden size of zero"] = ("hidden size is 0", "hidden_size", "0"),
        ["a negative hidden size"] = ("hidden size is -16", "hidden_size", "-16"),
        ["a hidden size of 2^17 + 2"] = ("hidden size is 131074", "hidden_size", "131074"),
        ["a hidden size of 2^40"] = ("hidden_size is 1099511627776", "hidden_size", "1099511627776"),
        ["a hidden size that is text"] = ("hidden_size is \"16\"", "hidden_size", "\"16\""),
        ["a broken hidden size"] = ("hidden_size is 16.5", "hidden_size", "16.5"),
        ["1025 layers"] = ("number of layers is 1025", "num_hidden_layers", "1025"),
        ["no layers"] = ("number of layers is 0", "num_hidden_layers", "0"),
        ["a vocabulary of 2^21 + 1"] = ("vocabulary size is 2097153", "vocab_size", "2097153"),
        ["an intermediate size of zero"] = ("intermediate size is 0", "intermediate_size", "0"),
        ["no heads"] = ("number of heads is 0", "num_attention_heads", "0"),
        ["key/value heads that do not divide"] = ("4 heads cannot share 3", "num_key_value_heads", "3"),
        ["an odd head dimension"] = ("head dimension is 5", "head_dim", "5"),
        ["a context of zero"] = ("context length is 0", "max_position_embeddings", "0"),
        ["an epsilon of zero"] = ("epsilon is 0", "rms_norm_eps", "0"),
        ["an infinite epsilon"] = ("epsilon is Infinity", "rms_norm_eps", "1e999"),
        ["an infinite base"] = ("frequencies is Infinity", "rope_theta", "1e999"),
        ["a base of zero"] = ("frequencies is 0", "rope_theta", "0"),
        ["an end token that is text"] = ("eos_token_id is \"2\"", "eos_token_id", "\"2\""),
        ["an end token in a list that is text"] = ("eos_token_id is \"3\"", "eos_token_id", "[2,\"3\"]"),
        ["an end token outside the vocabulary"] = ("special token 32", "eos_token_id", "[2,32]"),
        ["a negative start token"] = ("special token -1", "bos_token_id", "-1"),
        ["65 end tokens"] = ("has 65 tokens", "eos_token_id", "[" + string.Join(',', Enumerable.Repeat(2, 65)) + "]"),
        ["tied weights that are a number"] = ("tie_word_embeddings is 1", "tie_word_embeddings", "1"),
    };

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> RefusalNames => [.. Refusals.Keys];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(RefusalNames))]
    public void An_unsupported_or_damaged_configuration_must_be_refused_with_its_reason(string what)
    {
        TestSafetensors file = TestSafetensors.Model();
        (string messagePart, string key, string? value) = Refusals[what];
        if (value is null)
            file.Config.Remove(key);
        Write(file, value is null ? file.Config.ToJsonString() : Replaced(file, key, value));
        ModelFileAssert.Refused(_folder.Path, messagePart);
    }

    [Theory]
    [InlineData("not valid JSON", "{\"hidden_size\": 16")]
    [InlineData("not an object", "[1]")]
    [InlineData("not valid JSON", "{\"hidden_size\": 16, \"hidden_size\": 17}")]
    [InlineData("neither architectures nor model_type", "{}")]
    public void A_file_that_is_no_configuration_must_be_refused(string messagePart, string text)
    {
        Write(TestSafetensors.Model(), text);
        ModelFileAssert.Refused(_folder.Path, messagePart);
    }

    [Fact]
    public void A_configuration_over_a_mebibyte_must_be_refused_unread()
    {
        Write(TestSafetensors.Model(), "{" + new string(' ', 1 << 20) + "}");
        ModelFileAssert.Refused(_folder.Path, "at most 1048576 are read");
    }

    [Fact]
    public void Absent_settings_must_take_their_defaults()
    {
        TestSafetensors file = TestSafetensors.Model();
        foreach (string key in new[] { "head_dim", "rope_theta", "rope_scaling", "tie_word_embeddings", "hidden_act", "attention_bias", "architectures", "eos_token_id" })
            file.Config.Remove(key);
        file.Config["bos_token_id"] = null;
        LlamaConfig config = Read(file);
        Assert.Equal((4, 10000.0, false), (config.HeadDim, config.RopeTheta, config.TiedHead));
        Assert.Null(config.RopeScaling);
        Assert.Null(config.BosToken);
        Assert.Empty(config.EosTokens);
    }

    [Fact]
    public void Key_value_heads_must_default_to_the_heads()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config.Remove("num_key_value_heads");
        Write(file, file.Config.ToJsonString());
        ModelFileAssert.Refused(_folder.Path, "heads 4 on 4 of 4");
    }

    [Theory]
    [InlineData("rope_scaling", "rope_type")]
    [InlineData("rope_scaling", "type")]
    [InlineData("rope_parameters", "rope_type")]
    public void Llama3_scaling_must_be_read_under_each_of_its_names(string key, string typeKey)
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config.Remove("rope_scaling");
        file.Config[key] = JsonNode.Parse(Llama3Scaling.Replace("rope_type", typeKey, StringComparison.Ordinal));
        Assert.Equal(new RopeScaling(8, 1, 4, 8192), Read(file).RopeScaling);
    }

    [Fact]
    public void The_base_must_be_read_from_rope_parameters()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config.Remove("rope_theta");
        file.Config.Remove("rope_scaling");
        file.Config["rope_parameters"] = JsonNode.Parse("""{"rope_type": "default", "rope_theta": 1234.5}""");
        LlamaConfig config = Read(file);
        Assert.Equal(1234.5, config.RopeTheta);
        Assert.Null(config.RopeScaling);
    }

    [Fact]
    public void End_tokens_must_be_merged_from_both_files()
    {
        TestSafetensors file = TestSafetensors.Model();
        file.Config["eos_token_id"] = new JsonArray(7, 2);
        _folder.Write("generation_config.json", """{"eos_token_id": [9, 2]}""");
        Assert.Equal([2, 7, 9], Read(file).EosTokens);
    }

    private static string Replaced(TestSafetensors file, string key, string value)
    {
        file.Config[key] = "placeholder";
        return file.Config.ToJsonString().Replace("\"placeholder\"", value, StringComparison.Ordinal);
    }

    private LlamaConfig Read(TestSafetensors file)
    {
        file.WriteTo(_folder);
        using ModelFile model = ModelFile.Open(_folder.Path);
        return model.Config;
    }

    private void Write(TestSafetensors file, string config)
    {
        file.WriteTo(_folder);
        _folder.Write("config.json", config);
    }
}

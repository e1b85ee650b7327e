using System.Globalization;
using System.Text.Json;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>The fields that say how tokens are chosen; chat and plain completions share them.</summary>
internal static class SamplingFields
{
    private const int MaxBiasedTokens = 1024;

    public static SamplingParameters Take(JsonFields fields, int? topLogProbs, int vocabularySize) => new()
    {
        Temperature = fields.Number("temperature", 0, 2) ?? 1,
        TopP = fields.Number("top_p", 0, 1, minExcluded: true) ?? 1,
        // -1 is what other servers take for "all".
        TopK = (int)Math.Max(0, fields.Integer("top_k", -1, int.MaxValue) ?? 0),
        MinP = fields.Number("min_p", 0, 1) ?? 0,
        RepetitionPenalty = fields.Number("repetition_penalty", 0, 10, minExcluded: true) ?? 1,
        FrequencyPenalty = fields.Number("frequency_penalty", -2, 2) ?? 0,
        PresencePenalty = fields.Number("presence_penalty", -2, 2) ?? 0,
        LogitBias = TakeLogitBias(fields, vocabularySize),
        Seed = unchecked((ulong)(fields.Integer("seed", long.MinValue, long.MaxValue) ?? Random.Shared.NextInt64())),
        TopLogProbs = topLogProbs,
    };

    private static Dictionary<int, float> TakeLogitBias(JsonFields fields, int vocabularySize)
    {
        var biases = new Dictionary<int, float>();
        if (fields.Take("logit_bias") is not { } value)
            return biases;

        string path = fields.PathOf("logit_bias");
        if (value.ValueKind != JsonValueKind.Object)
            throw ApiException.InvalidType(path, "an object", JsonFields.Describe(value));
        foreach (JsonProperty bias in value.EnumerateObject())
        {
            bool integer = int.TryParse(bias.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int token);
            if (!integer || token >= vocabularySize)
            {
                throw ApiException.InvalidValue(
                    path, $"its keys are token ids from 0 to {vocabularySize - 1}, but one is '{bias.Name}'.");
            }

            // "7" and "07" are two fields but one token.
            if (!biases.TryAdd(token, JsonFields.NumberOf(bias.Value, $"{path}.{bias.Name}", -100, 100)))
                throw ApiException.InvalidValue(path, $"token {token} occurs twice.");
            if (biases.Count > MaxBiasedTokens)
                throw ApiException.InvalidValue(path, $"at most {MaxBiasedTokens} tokens can be biased.");
        }

        return biases;
    }
}

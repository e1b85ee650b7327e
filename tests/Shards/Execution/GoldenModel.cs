using System.Text.Json;

namespace Llama3Cluster.Shards.Tests.Execution;

/// <summary>What an independent float64 implementation computed for a real model: <c>golden.json</c> beside it.</summary>
internal sealed record GoldenCase(string Prompt, int[] Ids, (int Token, double Logit)[] Top, int[] Greedy)
{
    public static IReadOnlyList<GoldenCase> Load(string folder)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "golden.json")));
        return
        [
            .. document.RootElement.GetProperty("cases").EnumerateArray().Select(item => new GoldenCase(
                item.GetProperty("prompt").GetString()!,
                Ints(item.GetProperty("ids")),
                [.. item.GetProperty("last_top10").EnumerateArray().Select(pair => (pair[0].GetInt32(), pair[1].GetDouble()))],
                Ints(item.GetProperty("greedy_ids")))),
        ];
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(element => element.GetInt32())];
}

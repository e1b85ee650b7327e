namespace Llama3Cluster.Gateway.Tokenizers.Files;

/// <summary>
/// The post-processor of a tokenizer.json: what is put around an encoded text. Supported is one start token, or nothing.
/// </summary>
internal static class TokenizerJsonTemplate
{
    /// <summary>The start token; null if there is none.</summary>
    public static int? StartToken(JsonValue processor, Vocabulary vocabulary)
    {
        if (processor.IsNull)
            return null;

        switch (processor["type"].AsString())
        {
            case "ByteLevel":
                // It only shifts offsets.
                return null;
            case "Sequence":
                int? start = null;
                foreach (JsonValue part in processor["processors"].Items())
                    start = StartToken(part, vocabulary) ?? start;
                return start;
            case "TemplateProcessing":
                return OfTemplate(processor, vocabulary);
            default:
                throw processor.Unsupported("TemplateProcessing, ByteLevel or a Sequence of them");
        }
    }

    private static int? OfTemplate(JsonValue processor, Vocabulary vocabulary)
    {
        JsonValue single = processor["single"];
        List<JsonValue> parts = [.. single.Items()];
        if (parts.Count is 0 or > 2 || parts[^1]["Sequence"].IsNull)
            throw single.Unsupported("a text, or one special token and a text");
        if (parts.Count == 1)
            return null;

        string name = parts[0]["SpecialToken"]["id"].AsString();
        JsonValue ids = processor["special_tokens"][name]["ids"];
        List<JsonValue> id = [.. ids.Items()];
        if (id.Count != 1)
            throw ids.Unsupported("one id");
        if (!vocabulary.Special.TryGetValue(name, out int start) || id[0].AsInt32() != start)
            throw id[0].Unsupported($"the id of a special token, as {name} is named");
        return start;
    }
}

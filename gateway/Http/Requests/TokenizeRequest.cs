using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>
/// Reads the bodies of POST /tokenize (<c>prompt</c>, a string, or <c>messages</c>, as in a chat) and /detokenize
/// (<c>tokens</c>); both may name the <c>model</c>.
/// </summary>
internal static class TokenizeRequest
{
    public static Prompt ParseText(JsonElement body, ServedModel model)
    {
        var fields = new JsonFields(body);
        CommonFields.TakeModel(fields, model, required: false);
        string? text = fields.String("prompt");
        JsonElement? messages = fields.Take("messages");
        fields.End();
        return (text, messages) switch
        {
            ({ } prompt, null) => new Prompt.Text(prompt),
            (null, { } chat) => new Prompt.Chat(ChatMessages.Parse(chat, "messages")),
            (null, null) => throw ApiException.MissingParameter("prompt"),
            _ => throw ApiException.InvalidValue("prompt", "send either 'prompt' or 'messages', not both."),
        };
    }

    public static int[] ParseTokens(JsonElement body, ServedModel model)
    {
        var fields = new JsonFields(body);
        CommonFields.TakeModel(fields, model, required: false);
        int[] tokens = PromptField.ParseTokenIds(fields.Require("tokens"), "tokens", model.Tokenizer.VocabularySize);
        fields.End();
        return tokens;
    }
}

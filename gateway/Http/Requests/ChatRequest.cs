using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>Reads the body of POST /v1/chat/completions.</summary>
internal static class ChatRequest
{
    public static CompletionJob Parse(JsonElement body, ServedModel model, EndpointOptions options)
    {
        var fields = new JsonFields(body);
        CommonFields.TakeModel(fields, model);
        CommonFields.TakeLabels(fields);
        RefuseUnsupported(fields);
        if (!model.Tokenizer.HasChatFormat)
        {
            throw ApiException.BadRequest(
                $"The model '{model.Name}' has no chat format. Use /v1/completions with a 'prompt'.",
                "messages",
                "chat_format_missing");
        }

        IReadOnlyList<ChatMessage> messages = ChatMessages.Parse(fields.Require("messages"), "messages");
        (bool stream, bool includeUsage) = CommonFields.TakeStream(fields);
        var job = new CompletionJob
        {
            Prompts = [new Prompt.Chat(messages)],
            PromptParameter = "messages",
            Sampling = SamplingFields.Take(fields, TakeTopLogProbs(fields), model.Tokenizer.VocabularySize),
            ChoicesPerPrompt = CommonFields.TakeChoiceCount(fields, options.MaxChoices),
            MaxTokens = TakeMaxTokens(fields),
            IgnoreEnd = fields.Boolean("ignore_eos") ?? false,
            StopStrings = CommonFields.TakeStopStrings(fields),
            Stream = stream,
            IncludeUsage = includeUsage,
        };
        fields.End();
        return job;
    }

    private static void RefuseUnsupported(JsonFields fields)
    {
        fields.Refuse(
            "Tool calls are not supported here.", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call");
        fields.Refuse(
            "This server does not honour it.", "audio", "prediction", "reasoning_effort", "verbosity", "web_search_options");
        if (fields.Take("response_format") is { } value)
        {
            var format = new JsonFields(value, "response_format");
            string type = JsonFields.StringOf(format.Require("type"), "response_format.type");
            if (type != "text")
                throw ApiException.Unsupported("response_format", $"Only the type 'text' is supported here, not '{type}'.");
            format.End();
        }

        if (fields.Take("modalities") is { } modalities)
        {
            bool textOnly = modalities.ValueKind == JsonValueKind.Array && modalities.GetArrayLength() == 1
                && modalities[0].ValueKind == JsonValueKind.String && modalities[0].ValueEquals("text");
            if (!textOnly)
                throw ApiException.Unsupported("modalities", "Only [\"text\"] is supported here.");
        }
    }

    private static int? TakeTopLogProbs(JsonFields fields)
    {
        bool logProbs = fields.Boolean("logprobs") ?? false;
        long? top = fields.Integer("top_logprobs", 0, SamplingParameters.MaxTopLogProbs);
        if (top is not null && !logProbs)
            throw ApiException.InvalidValue("top_logprobs", "it is only allowed when 'logprobs' is true.");
        return logProbs ? (int)(top ?? 0) : null;
    }

    private static int? TakeMaxTokens(JsonFields fields)
    {
        long? max = fields.Integer("max_completion_tokens", 1, int.MaxValue);
        long? oldName = fields.Integer("max_tokens", 1, int.MaxValue);
        if (max is not null && oldName is not null && max != oldName)
            throw ApiException.InvalidValue(
                "max_tokens", $"it is {oldName} while 'max_completion_tokens' is {max}; send one of them.");
        return (int?)(max ?? oldName);
    }
}

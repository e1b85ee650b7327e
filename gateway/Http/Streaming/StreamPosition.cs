using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Security;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>
/// How far a stream is: for each choice the last step that was written. A step is a token's index; after n tokens come step n for
/// text that was held back, n + 1 for the finish and n + 2 for the usage. An event's id is <c>request:step</c>, or
/// <c>request:step,step,…</c> when there are several choices. What a step writes depends on the tokens alone, so a stream that is
/// resumed after a step goes on with exactly the events that follow.
/// </summary>
internal sealed class StreamPosition
{
    private const int MaxIdLength = 2048;
    private const int None = -1;

    private readonly byte[] _prefix;
    private readonly int[] _seen;
    private readonly int[] _steps;
    private readonly bool _resumes;

    private StreamPosition(string id, int[] seen, bool resumes)
    {
        _prefix = Encoding.ASCII.GetBytes($"id: {id}:");
        _seen = seen;
        _steps = [.. seen];
        _resumes = resumes;
        IsSeen = resumes;
    }

    /// <summary>Whether the client has what is written now.</summary>
    public bool IsSeen { get; private set; }

    /// <summary>Choices that the client knows of; null when it has seen nothing.</summary>
    public int? Choices => _resumes ? _seen.Length : null;

    /// <summary>The beginning of a stream.</summary>
    public static StreamPosition Start(string id, int choices) => new(id, [.. Enumerable.Repeat(None, choices)], false);

    /// <summary>The position after the last event that a client saw.</summary>
    /// <param name="id">The stream.</param>
    /// <param name="lastEventId">The event's id; empty when it saw none.</param>
    /// <returns>The position; null for the beginning.</returns>
    /// <exception cref="ApiException">It is not an event id of the stream.</exception>
    public static StreamPosition? Parse(string id, string lastEventId)
    {
        if (!GenerationIds.IsWellFormed(id))
            throw new ApiException(StatusCodes.Status404NotFound, "There is no such answer.", null, "generation_not_found");
        if (lastEventId.Length == 0)
            return null;
        int colon = lastEventId.LastIndexOf(':');
        if (lastEventId.Length > MaxIdLength || colon < 0 || lastEventId[..colon] != id)
            throw Invalid($"it is not an event of '{id}'; event ids look like '{id}:17'.");
        string[] parts = lastEventId[(colon + 1)..].Split(',');
        int[] seen = new int[parts.Length];
        for (int i = 0; i < seen.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out seen[i]) || seen[i] < None)
                throw Invalid($"'{parts[i]}' is not the number of an event.");
        }

        return new StreamPosition(id, seen, true);
    }

    /// <summary>A step of a choice is written now.</summary>
    public void MoveTo(int choice, int step)
    {
        IsSeen = step <= _seen[choice];
        _steps[choice] = Math.Max(_steps[choice], step);
    }

    /// <summary>Writes the id line of an event here.</summary>
    public void WriteTo(IBufferWriter<byte> output)
    {
        output.Write(_prefix);
        for (int choice = 0; choice < _steps.Length; choice++)
        {
            Span<byte> span = output.GetSpan(16);
            int length = 0;
            if (choice > 0)
                span[length++] = (byte)',';
            Utf8Formatter.TryFormat(_steps[choice], span[length..], out int digits);
            output.Advance(length + digits);
        }

        output.Write("\n"u8);
    }

    private static ApiException Invalid(string reason) => ApiException.InvalidValue("Last-Event-ID", reason);
}

using System.Buffers;
using System.IO.Pipelines;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Http.Responses;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>Writes server-sent events whose data are JSON.</summary>
/// <param name="output">Where to.</param>
/// <param name="position">Where the stream is: its event ids.</param>
internal sealed class EventStreamWriter(PipeWriter output, StreamPosition position) : IDisposable
{
    /// <summary>Bytes after which a flush is due even while more events are at hand.</summary>
    private const long FlushThreshold = 4096;

    private readonly Utf8JsonWriter _json = new(
        output, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    private long _unflushed;

    /// <summary>Whether enough is buffered to send it on.</summary>
    public bool ShouldFlush => _unflushed >= FlushThreshold;

    /// <summary>Writes an event, unless the client has it already.</summary>
    public void Write<T>(T value, JsonTypeInfo<T> type)
    {
        if (position.IsSeen)
            return;
        position.WriteTo(output);
        WriteData(value, type);
    }

    /// <summary>Writes an error. It has no id: the client may go on where it was.</summary>
    public void WriteError(ErrorDetail error) => WriteData(new ErrorResponse(error), ApiJson.Web.ErrorResponse);

    private void WriteData<T>(T value, JsonTypeInfo<T> type)
    {
        output.Write("data: "u8);
        JsonSerializer.Serialize(_json, value, type);
        _json.Flush();
        _unflushed += _json.BytesCommitted;
        _json.Reset();
        output.Write("\n\n"u8);
    }

    /// <summary>Writes the event that ends OpenAI's streams.</summary>
    public void WriteDone() => output.Write("data: [DONE]\n\n"u8);

    /// <summary>Writes a comment, which clients skip.</summary>
    public void WriteKeepAlive() => output.Write(": keep-alive\n\n"u8);

    /// <summary>Sends what was written; waits while the client does not read.</summary>
    /// <exception cref="OperationCanceledException">The client is gone.</exception>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        FlushResult result = await output.FlushAsync(cancellationToken);
        _unflushed = 0;
        if (result.IsCompleted || result.IsCanceled)
            throw new OperationCanceledException("The client closed the stream.", cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose() => _json.Dispose();
}

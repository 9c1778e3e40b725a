//! The Game methods.

use crate::{
    app::{
        Caller, Error,
        catalog::{self, Update},
    },
    db::Db,
    domain::{catalog::GameField, error::Violations},
    rpc::{
        call::{given, page, resource},
        convert::{
            catalog::{game_from, game_to},
            fields,
        },
        page::next,
        proto, validate,
    },
};

pub(super) async fn list(
    db: &Db,
    caller: &Caller,
    message: proto::ListGamesRequest,
) -> Result<proto::ListGamesResponse, Error> {
    let mut violations = Violations::default();
    let scope = [
        "ListGames",
        if message.include_inactive {
            "inactive"
        } else {
            ""
        },
    ];
    let page = page(
        &mut violations,
        message.page_size,
        &message.page_token,
        &scope,
    )?;
    violations.finish()?;
    let after = page.after.as_deref();
    let listed =
        catalog::list_games(db, caller, message.include_inactive, after, page.limit).await?;
    let last = listed.rows.last().filter(|_| listed.more);
    let next_page_token = next(&scope, last.map(|game| game.id.as_str()));
    Ok(proto::ListGamesResponse {
        games: listed.rows.into_iter().map(game_to).collect(),
        next_page_token,
    })
}

pub(super) async fn get(
    db: &Db,
    caller: &Caller,
    message: proto::GetGameRequest,
) -> Result<proto::GetGameResponse, Error> {
    let mut violations = Violations::default();
    validate::id(&mut violations, "game_id", &message.game_id);
    violations.finish()?;
    let game = catalog::get_game(db, caller, &message.game_id).await?;
    Ok(proto::GetGameResponse {
        game: Some(game_to(game)),
    })
}

pub(super) async fn create(
    db: &Db,
    caller: &Caller,
    message: proto::CreateGameRequest,
) -> Result<proto::CreateGameResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let game = game_from(resource(&mut violations, "game", message.game)?);
    game.check(&mut violations, "game");
    violations.finish()?;
    let game = catalog::create_game(db, caller, game, request_id).await?;
    Ok(proto::CreateGameResponse {
        game: Some(game_to(game)),
    })
}

pub(super) async fn update(
    db: &Db,
    caller: &Caller,
    message: proto::UpdateGameRequest,
) -> Result<proto::UpdateGameResponse, Error> {
    let mut violations = Violations::default();
    let request_id = validate::optional_uuid(&mut violations, "request_id", &message.request_id);
    let fields = fields(&mut violations, message.update_mask, GameField::parse);
    let value = game_from(resource(&mut violations, "game", message.game)?);
    validate::id(&mut violations, "game.id", &value.id);
    violations.finish()?;
    let update = Update {
        value,
        fields,
        etag: given(message.etag),
        unreadable: Vec::new(),
    };
    let game = catalog::update_game(db, caller, update, request_id).await?;
    Ok(proto::UpdateGameResponse {
        game: Some(game_to(game)),
    })
}
